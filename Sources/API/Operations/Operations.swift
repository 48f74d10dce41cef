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

    /// The forms of an answer that is JSON about a vector, or the vector.
    static let vectorForms: [Representation] = [.json] + Representation.vectors

    enum Body {
        case none
        case json(bytesMax: Int)
        case jsonOr([Representation], bytesMax: Int)
    }

    /// - Parameters:
    ///   - query: The names that the query may have.
    ///   - produces: The forms that the answer can take. Empty: it has one form, or none, whatever
    ///     the client accepts.
    ///   - inRanges: Whether a GET may ask for a part of the answer.
    func operation(
        _ id: String, _ method: HTTPRequest.Method, _ pattern: String, query: [String] = [],
        body: Body = .none, produces: [Representation] = [.json], inRanges: Bool = false,
        handler: @escaping Handler
    ) -> Route {
        var route = Route(method: method, pattern: pattern, operationID: id) { request in
            var response: Response
            do {
                let call = try Call(request, query: query, produces: produces)
                try ContentDigest.check(request.body, of: request.head)
                response = try await handler(call)
                if inRanges { response = try response.ranged(for: request.head) }
                response = response.digested(for: request.head)
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
        case .jsonOr(let others, let bytesMax):
            route.mediaTypes = [Representation.json.mediaType] + others.map(\.mediaType)
            route.bodyBytesMax = bytesMax
        }
        return route
    }
}
