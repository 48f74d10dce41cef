import HTTPTypes

/// Decides on a request when only its header is known: what route takes it, or why none does.
///
/// The order is the order of what may be told: who is not admitted learns nothing of the paths; a
/// path that does not exist has no methods; a body is looked at last. Pure, so it is tested without
/// sockets.
package struct Gate: Sendable {
    package typealias Admit = @Sendable (RequestHead, Route?) -> Response?
    package typealias Refuse = @Sendable (Refusal, RequestHead?) -> Response

    package let router: Router
    private let admit: Admit
    private let refuse: Refuse

    package enum Decision {
        case serve(Route, parameters: PathParameters)
        /// Answer this, without the body and without a handler. The route, if one was found.
        case answer(Response, Route?)
    }

    package init(router: Router, admit: @escaping Admit, refuse: @escaping Refuse) {
        self.router = router
        self.admit = admit
        self.refuse = refuse
    }

    package func decide(_ head: RequestHead, _ framing: Framing) -> Decision {
        switch router.resolve(head.method, head.path) {
        case .matched(let route, let parameters):
            if let response = admit(head, route) { return .answer(response, route) }
            if let refusal = Self.objection(to: head, framing, for: route) {
                return .answer(response(to: refusal, head), route)
            }
            return .serve(route, parameters: parameters)
        case .methodNotAllowed(let allow):
            if let response = admit(head, nil) { return .answer(response, nil) }
            if head.method == .options {
                return .answer(Self.allowing(allow, Response(status: .noContent)), nil)
            }
            return .answer(response(to: .methodNotAllowed(allow: allow), head), nil)
        case .notFound:
            if let response = admit(head, nil) { return .answer(response, nil) }
            return .answer(response(to: .notFound, head), nil)
        }
    }

    /// The refusal as the API words it, with the fields that HTTP demands of it.
    package func response(to refusal: Refusal, _ head: RequestHead?) -> Response {
        let response = refuse(refusal, head)
        if case .methodNotAllowed(let allow) = refusal { return Self.allowing(allow, response) }
        return response
    }

    /// What is wrong with the body that is announced, if anything is.
    private static func objection(
        to head: RequestHead, _ framing: Framing, for route: Route
    ) -> Refusal? {
        switch framing {
        case .none:
            return nil
        case .chunked:
            return .lengthRequired
        case .sized(let length):
            let sent = head.headerFields[.contentType]
            guard MediaType.accepts(sent, route.mediaTypes) else {
                return .unsupportedMediaType(accepted: route.mediaTypes)
            }
            return length > route.bodyBytesMax ? .contentTooLarge(limit: route.bodyBytesMax) : nil
        }
    }

    private static func allowing(_ allow: [HTTPRequest.Method], _ response: Response) -> Response {
        var response = response
        response.headerFields[.allow] = allow.map(\.rawValue).joined(separator: ", ")
        return response
    }
}

/// Media types as far as a server needs them: RFC 9110 section 8.3.1.
package enum MediaType {
    /// Whether a body of this `Content-Type` is one of the accepted types. Parameters do not
    /// matter. A body without a type is taken for JSON, which is what `curl -d` users mean.
    package static func accepts(_ contentType: String?, _ accepted: [String]) -> Bool {
        guard let contentType else { return accepted.contains("application/json") }
        let end = contentType.utf8.firstIndex(of: UInt8(ascii: ";")) ?? contentType.endIndex
        var essence = contentType[..<end]
        while let last = essence.utf8.last, last == 0x20 || last == 0x09 { essence.removeLast() }
        if accepted.contains(where: { $0 == essence }) { return true }
        let lowered = essence.lowercased()
        return accepted.contains(lowered)
    }
}
