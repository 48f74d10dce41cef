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
        preview: Preview? = nil, handler: @escaping Handler
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
                let call = try Call(request, query: query, produces: produces)
                try call.checkDigest()
                var response =
                    request.sink == nil && request.body.count < HeavyWork.bytesMin
                    ? try await handler(call)
                    : try await HeavyWork.aside { try await handler(call) }
                if inRanges { response = try response.ranged(for: request.head) }
                return finished(response.digested(for: request.head))
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
        case .jsonOr(let others, let bytesMax):
            route.mediaTypes = [Representation.json.mediaType] + others.map(\.mediaType)
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
