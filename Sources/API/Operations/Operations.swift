internal import HTTPServer
internal import HTTPTypes
internal import Sessions
internal import Telemetry
internal import Wire

/// What the operations need, and how one becomes a route.
struct Operations: Sendable {
    let service: SessionService
    let metrics: MetricsRegistry
    let bodies: BodyLimits
    let probe: @Sendable () async -> Bool

    typealias Handler = @Sendable (Call) async throws -> Response
    /// Looks at a call whose body, of so many bytes, hasn't been read.
    typealias Preview = @Sendable (Call, Int) async throws -> BodyPlan

    enum Body {
        case none
        case json(bytesMax: Int)
        case jsonOr(Representation, bytesMax: Int)
    }

    /// - Parameters:
    ///   - query: The names that the query may have.
    ///   - produces: The forms that the answer can take. Empty: it has one form, or none, whatever
    ///     the client accepts.
    func operation(
        _ id: String, _ method: HTTPRequest.Method, _ pattern: String, query: [String] = [],
        body: Body = .none, produces: [Representation] = [.json], preview: Preview? = nil,
        handler: @escaping Handler
    ) -> Route {
        @Sendable func finished(_ response: Response) -> Response {
            var response = response
            if response.headerFields[.cacheControl] == nil {
                response.headerFields[.cacheControl] = "no-store"
            }
            if produces.count > 1 { response.headerFields[.vary] = "Accept" }
            return response
        }
        var route = Route(method: method, pattern: pattern, operationID: id) { request in
            do {
                return finished(
                    try await handler(try Call(request, query: query, produces: produces)))
            } catch {
                return finished(Problem(error).response)
            }
        }
        if let preview {
            route.preview = { head, pathParameters, length in
                let request = Request(head: head, pathParameters: pathParameters)
                do {
                    return try await preview(
                        try Call(request, query: query, produces: produces), length)
                } catch {
                    return .refuse(finished(Problem(error).response))
                }
            }
        }
        switch body {
        case .none: break
        case .json(let bytesMax):
            route.mediaTypes = [Representation.json.mediaType]
            route.bodyBytesMax = bytesMax
        case .jsonOr(let other, let bytesMax):
            route.mediaTypes = [Representation.json.mediaType, other.mediaType]
            route.bodyBytesMax = bytesMax
        }
        return route
    }
}
