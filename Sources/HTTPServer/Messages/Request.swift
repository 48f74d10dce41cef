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
///
/// An object, since it is handed from one to the next a dozen times before it is answered.
public final class RequestHead: Sendable {
    public let method: HTTPRequest.Method
    /// The request target as it was sent, for logs. Everything else reads `path` and `query`.
    public let target: String
    /// The path's segments, each percent-decoded on its own, so a `%2F` never makes a new segment.
    public let path: [String]
    public let query: [QueryItem]
    public let headerFields: HeaderFields
    /// The peer's numeric address, or `"unix"`.
    public let remoteAddress: String

    public init(
        method: HTTPRequest.Method, target: String, path: [String], query: [QueryItem] = [],
        headerFields: HeaderFields = [:], remoteAddress: String = "unix"
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
    /// Decoded, and never empty.
    public var pathParameters: PathParameters
    /// The pattern that matched, for metrics and logs: its values are few, a path's are not.
    public var route: String
    public var body: [UInt8]
    /// What took the body, where the route wanted that; `body` is then empty.
    public var sink: (any BodySink)?

    public init(
        head: RequestHead, pathParameters: PathParameters = [:], route: String = "",
        body: [UInt8] = [], sink: (any BodySink)? = nil
    ) {
        self.head = head
        self.pathParameters = pathParameters
        self.route = route
        self.body = body
        self.sink = sink
    }
}
