public import HTTPServer
internal import HTTPTypes
internal import Wire

/// Renders the server's own rejections as problems, for `HTTPServer(renderRejection:)`.
public func renderRejection(_ rejection: RequestRejection, _ head: RequestHead) -> Response {
    Problem(rejection).response(to: head)
}

extension Problem {
    init(_ rejection: RequestRejection) {
        switch rejection {
        case .malformed(let reason): self.init(.malformed, "The request is not HTTP: \(reason).")
        case .notFound: self.init(.notFound, "There is nothing at this path.")
        case .methodNotAllowed(let allow):
            let methods = allow.map(\.rawValue)
            self.init(
                .methodNotAllowed, "This path allows \(methods.joined(separator: ", ")).",
                members: [("allow", .strings(methods))])
        case .requestTimedOut: self.init(.requestTimeout, "The request did not arrive in time.")
        case .lengthRequired:
            self.init(
                .lengthRequired, "Send the body with Content-Length: its size is checked first.")
        case .contentTooLarge(let limit):
            self.init(
                .contentTooLarge, "This operation reads bodies of at most \(limit) bytes.",
                members: [("limit", .integer(limit))])
        case .unsupportedMediaType(let accepted):
            self.init(
                .unsupportedMediaType,
                accepted.isEmpty
                    ? "This operation takes no body."
                    : "Send a Content-Type that this operation reads: "
                        + "\(accepted.joined(separator: ", ")).",
                members: [("accepted", .strings(accepted))])
            if !accepted.isEmpty {
                headerFields[.accept] = accepted.joined(separator: ", ")
            }
        case .headersTooLarge:
            self.init(.headersTooLarge, "The header fields don't fit in the server's buffer.")
        case .overloaded(let limit, let maximum, let seconds):
            self.init(limit: limit.rawValue, maximum, retryAfterSeconds: seconds)
        case .shuttingDown: self = Problem.shuttingDown
        case .handlerTimedOut(let seconds):
            self.init(
                .unanswered,
                "There was no answer within \(seconds) s, and it is unknown whether the request "
                    + "took effect: repeat it or look at the session.")
        }
    }
}
