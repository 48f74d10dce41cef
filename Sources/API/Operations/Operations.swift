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
        body: Body = .none, produces: [Representation] = [.json], handler: @escaping Handler
    ) -> Route {
        var route = Route(method: method, pattern: pattern, operationID: id) { request in
            var response: Response
            do {
                let call = try Call(request, query: query, produces: produces)
                response =
                    request.body.count < HeavyWork.bytesMin
                    ? try await handler(call)
                    : try await HeavyWork.aside { try await handler(call) }
            } catch {
                response = Problem(error).response
            }
            if response.headerFields[.cacheControl] == nil {
                response.headerFields[.cacheControl] = "no-store"
            }
            if produces.count > 1 { response.headerFields[.vary] = "Accept" }
            return response
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

    /// An answer with so many numbers; a long one is written aside.
    func written(
        _ count: Int, _ write: @escaping @Sendable () -> Response
    ) async -> Response {
        guard count * 8 >= HeavyWork.bytesMin else { return write() }
        return await HeavyWork.aside { write() }
    }
}
