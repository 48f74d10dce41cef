public import HTTPTypes
import Synchronization

/// Who sent a request, as the function that authorizes it found out. The server only carries it.
public protocol Principal: AnyObject, Sendable {}

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
    /// The client's `X-Request-Id`, or one made here.
    public let requestID: String
    private let identified = Mutex<(any Principal)?>(nil)

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
        let sent = headerFields[.requestID]
        requestID = sent.flatMap { RequestID.isAcceptable($0) ? $0 : nil } ?? RequestID.make()
    }

    /// The request that the current task handles, for the metadata of log lines.
    @TaskLocal public static var current: RequestHead?

    /// Stands for a request whose header was not read.
    static func unread(from remoteAddress: String, target: String = "") -> RequestHead {
        RequestHead(
            method: .unreadable, target: target, path: [], remoteAddress: remoteAddress)
    }

    /// The trace that the request belongs to, from its `traceparent`; nil without a valid one.
    public var traceID: String? { headerFields[.traceparent].flatMap(TraceParent.traceID) }

    /// Who sent the request; nil before it was authorized.
    public var principal: (any Principal)? { identified.withLock { $0 } }

    /// Records who sent the request. Called by the function that authorizes it.
    public func identify(as principal: any Principal) {
        identified.withLock { $0 = principal }
    }

    /// The authority in a target in absolute form, `http://host/path`, which counts more than Host
    /// (RFC 9112, section 3.2.2); nil in the usual form.
    public var targetAuthority: String? {
        guard target.utf8.first != UInt8(ascii: "/"), let scheme = target.firstRange(of: "://")
        else { return nil }
        return String(target[scheme.upperBound...].prefix { $0 != "/" })
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

extension HTTPRequest.Method {
    /// Logged in place of a method that is not a token or was not read.
    static let unreadable = HTTPRequest.Method("-")!
}
