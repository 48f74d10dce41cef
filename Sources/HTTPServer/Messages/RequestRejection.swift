public import HTTPTypes

/// Why the server turned a request away before, or instead of, its handler.
///
/// The server decides that a request is refused; how that looks is decided by the `refuse` function
/// it was given, so that an API's errors have one form.
public enum Refusal: Error, Equatable {
    /// 400. The request is not HTTP, or is framed ambiguously. The text says which rule it broke.
    case malformed(String)
    /// 404. No route has this path.
    case notFound
    /// 405. The path is known, the method is not one of its own. The server adds `Allow`.
    case methodNotAllowed(allow: [HTTPRequest.Method])
    /// 408. The request, or its body, did not arrive within its deadline.
    case timedOut
    /// 411. A chunked upload: bodies need a length.
    case lengthRequired
    /// 413. `Content-Length` is over the route's limit.
    case contentTooLarge(limit: Int)
    /// 415. The body's media type is not one that the route reads.
    case unsupportedMediaType(accepted: [String])
    /// 431. The header fields do not fit.
    case headersTooLarge
    /// 503. A limit of the server is reached; worth trying again.
    case overloaded(Limit, maximum: Int, retryAfterSeconds: Int)
    /// 503. The server is stopping.
    case shuttingDown
    /// 504. The handler did not answer within the response deadline.
    case unanswered(afterSeconds: Double)

    /// What there is too much of.
    public enum Limit: String, Sendable, Equatable {
        case connections
        case connectionsPerAddress = "connections_per_address"
        case bodyBytesInFlight = "body_bytes_in_flight"
    }

    /// The status that says this in HTTP.
    public var status: HTTPResponse.Status {
        switch self {
        case .malformed: .badRequest
        case .notFound: .notFound
        case .methodNotAllowed: .methodNotAllowed
        case .timedOut: .requestTimeout
        case .lengthRequired: .lengthRequired
        case .contentTooLarge: .contentTooLarge
        case .unsupportedMediaType: .unsupportedMediaType
        case .headersTooLarge: .requestHeaderFieldsTooLarge
        case .overloaded, .shuttingDown: .serviceUnavailable
        case .unanswered: .gatewayTimeout
        }
    }
}
