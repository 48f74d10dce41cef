public import HTTPTypes

/// Why the server answered a request itself, without its handler or before the handler was done.
///
/// The server decides that a request is rejected. The function passed to `HTTPServer` as
/// `renderRejection` decides how the response looks, so that all errors of an API have one form.
public enum RequestRejection: Error, Equatable {
    /// 400. The request is not HTTP, or its framing is ambiguous. The text names the broken rule.
    case malformed(String)
    /// 404. No route has this path.
    case notFound
    /// 405. The path exists but does not support the method. The server adds `Allow`.
    case methodNotAllowed(allow: [HTTPRequest.Method])
    /// 408. The request's header or body did not arrive before its deadline.
    case requestTimedOut
    /// 411. A chunked upload: bodies need a `Content-Length`.
    case lengthRequired
    /// 413. `Content-Length` exceeds the route's limit.
    case contentTooLarge(limit: Int)
    /// 415. The route does not read bodies of this media type.
    case unsupportedMediaType(accepted: [String])
    /// 431. The header fields do not fit in the connection's buffer.
    case headersTooLarge
    /// 503. The server reached one of its limits. Retrying later may succeed.
    case overloaded(Limit, maximum: Int, retryAfterSeconds: Int)
    /// 503. The server is shutting down.
    case shuttingDown
    /// 504. The handler did not respond before the response deadline.
    case handlerTimedOut(afterSeconds: Double)

    /// The limit that was reached.
    public enum Limit: String, Sendable, Equatable {
        case connections
        case connectionsPerAddress = "connections_per_address"
        case bodyBytesInFlight = "body_bytes_in_flight"
        case responseBytesInFlight = "response_bytes_in_flight"
        case bytesInFlightPerAddress = "bytes_in_flight_per_address"
    }

    /// The HTTP status for this rejection.
    public var status: HTTPResponse.Status {
        switch self {
        case .malformed: .badRequest
        case .notFound: .notFound
        case .methodNotAllowed: .methodNotAllowed
        case .requestTimedOut: .requestTimeout
        case .lengthRequired: .lengthRequired
        case .contentTooLarge: .contentTooLarge
        case .unsupportedMediaType: .unsupportedMediaType
        case .headersTooLarge: .requestHeaderFieldsTooLarge
        case .overloaded, .shuttingDown: .serviceUnavailable
        case .handlerTimedOut: .gatewayTimeout
        }
    }
}
