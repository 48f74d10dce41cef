public import HTTPTypes

/// One `name=value` of a query, decoded. A name without `=` has the empty value.
public struct QueryItem: Sendable, Equatable {
    public var name: String
    public var value: String

    public init(name: String, value: String) {
        self.name = name
        self.value = value
    }
}

/// What is known of a request before its body: enough to refuse it.
public struct RequestHead: Sendable {
    public var method: HTTPRequest.Method
    /// The request target as it was sent, for logs. Everything else reads `path` and `query`.
    public var target: String
    /// The path's segments, each percent-decoded on its own, so a `%2F` never makes a new segment.
    public var path: [String]
    public var query: [QueryItem]
    public var headerFields: HTTPFields
    /// The peer's numeric address, or `"unix"`.
    public var remoteAddress: String

    public init(
        method: HTTPRequest.Method, target: String, path: [String], query: [QueryItem] = [],
        headerFields: HTTPFields = [:], remoteAddress: String = "unix"
    ) {
        self.method = method
        self.target = target
        self.path = path
        self.query = query
        self.headerFields = headerFields
        self.remoteAddress = remoteAddress
    }

    /// The first query item of that name.
    public func queryValue(_ name: String) -> String? {
        query.first { $0.name == name }?.value
    }
}

/// A whole request, as a handler sees it.
public struct Request: Sendable {
    public var head: RequestHead
    /// What stood in the place of each `{name}` of the route's pattern, decoded, never empty.
    public var pathParameters: [String: String]
    /// The pattern that matched, for metrics and logs: its values are few, a path's are not.
    public var route: String
    public var body: [UInt8]
    /// What took the body, where the route wanted that; `body` is then empty.
    public var sink: (any BodySink)?

    public init(
        head: RequestHead, pathParameters: [String: String] = [:], route: String = "",
        body: [UInt8] = [], sink: (any BodySink)? = nil
    ) {
        self.head = head
        self.pathParameters = pathParameters
        self.route = route
        self.body = body
        self.sink = sink
    }
}
