public import HTTPTypes

/// A request without its body: method, target, header fields and the peer's address.
///
/// A class, because it is passed on a dozen times per request and a reference is cheaper to copy.
public final class RequestHead: Sendable {
    public let method: HTTPRequest.Method
    /// The request target as it was sent, for logs. Everything else reads `path` and `query`.
    public let target: String
    /// The segments of the path. Each is percent-decoded separately, so `%2F` never makes a new
    /// segment.
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

    /// The value of the first query item with this name.
    public func queryValue(_ name: String) -> String? {
        query.first { $0.name == name }?.value
    }
}

/// One decoded `name=value` of a query. A name without `=` has an empty value.
public struct QueryItem: Sendable, Equatable {
    public var name: String
    public var value: String

    public init(name: String, value: String) {
        self.name = name
        self.value = value
    }
}
