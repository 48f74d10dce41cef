import HTTPTypes

/// Decides from a request's header alone which route handles it, or how it is rejected.
///
/// The order of the checks limits what a client can learn: an unauthorized client does not learn
/// which paths exist; an unknown path does not reveal methods; the body is checked last. There is
/// no I/O here, so it is tested without sockets.
package struct RequestDispatcher: Sendable {
    package let router: Router
    private let authorize: HTTPServer.Authorize
    private let renderRejection: HTTPServer.RenderRejection

    package enum Decision {
        /// Read the body, then call the route's handler.
        case dispatch(Route, parameters: PathParameters)
        /// Send this response without calling a handler. The route is the one that matched, if any.
        case respond(Response, Route?)
        /// The same, and before the body is read: the request may not be made at all.
        case refuse(Response, Route?)
    }

    package init(
        router: Router, authorize: @escaping HTTPServer.Authorize,
        renderRejection: @escaping HTTPServer.RenderRejection
    ) {
        self.router = router
        self.authorize = authorize
        self.renderRejection = renderRejection
    }

    package func decide(_ head: RequestHead, _ framing: BodyFraming) -> Decision {
        switch router.resolve(head.method, head.path) {
        case .matched(let route, let parameters):
            if let response = authorize(head, route) { return .refuse(response, route) }
            if let rejection = Self.bodyRejection(head, framing, route) {
                return .respond(response(to: rejection, head), route)
            }
            return .dispatch(route, parameters: parameters)
        case .methodNotAllowed(let allow):
            if let response = authorize(head, nil) { return .refuse(response, nil) }
            if head.method == .options {
                return .respond(Self.withAllow(allow, Response(status: .noContent)), nil)
            }
            return .respond(response(to: .methodNotAllowed(allow: allow), head), nil)
        case .notFound:
            if let response = authorize(head, nil) { return .refuse(response, nil) }
            return .respond(response(to: .notFound, head), nil)
        }
    }

    /// The response for a rejection, with the header fields that HTTP requires.
    package func response(to rejection: RequestRejection, _ head: RequestHead) -> Response {
        let response = renderRejection(rejection, head)
        if case .methodNotAllowed(let allow) = rejection { return Self.withAllow(allow, response) }
        return response
    }

    /// Why the route does not accept the announced body, or nil if it does.
    private static func bodyRejection(
        _ head: RequestHead, _ framing: BodyFraming, _ route: Route
    ) -> RequestRejection? {
        switch framing {
        case .none:
            return nil
        case .chunked:
            return .lengthRequired
        case .sized(let length):
            guard MediaType.accepts(head.headerFields[.contentType], route.mediaTypes) else {
                return .unsupportedMediaType(accepted: route.mediaTypes)
            }
            return length > route.bodyBytesMax ? .contentTooLarge(limit: route.bodyBytesMax) : nil
        }
    }

    private static func withAllow(_ allow: [HTTPRequest.Method], _ response: Response) -> Response {
        var response = response
        response.headerFields[.allow] = allow.map(\.rawValue).joined(separator: ", ")
        return response
    }
}
