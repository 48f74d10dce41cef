internal import HTTPServer
internal import HTTPTypes
internal import Sessions
internal import Telemetry
internal import Wire

/// The operations of the API: what they share, and how one becomes a route.
struct Operations: Sendable {
    let service: SessionService
    let metrics: MetricsRegistry
    let bodies: BodyLimits
    let probe: @Sendable () async -> Bool

    typealias Handler = @Sendable (Call) async throws -> Response
    /// Checks a call before its body, of so many bytes, is read.
    typealias Preview = @Sendable (Call, Int) async throws -> BodyPlan

    /// The representations of a response that is JSON about a vector, or the vector itself.
    static let vectorForms: [Representation] = [.json] + Representation.vectors

    enum Body {
        case none
        case json(bytesMax: Int)
        case jsonOr([Representation], bytesMax: Int)

        fileprivate var mediaTypes: [String] {
            switch self {
            case .none: []
            case .json: [Representation.json.mediaType]
            case .jsonOr(let others, _): [Representation.json.mediaType] + others.map(\.mediaType)
            }
        }

        fileprivate var bytesMax: Int {
            switch self {
            case .none: 0
            case .json(let bytesMax), .jsonOr(_, let bytesMax): bytesMax
            }
        }
    }

    /// - Parameters:
    ///   - query: The query's known names.
    ///   - produces: The representations that can be negotiated. Empty when the response has one or
    ///     none, whatever the client accepts.
    ///   - inRanges: Whether a GET may ask for a range of the response.
    func operation(
        _ id: String, _ method: HTTPRequest.Method, _ pattern: String, query: [String] = [],
        body: Body = .none, produces: [Representation] = [.json], inRanges: Bool = false,
        preview: Preview? = nil, handler: @escaping Handler
    ) -> Route {
        @Sendable func finish(_ response: inout Response) {
            if response.headerFields[.cacheControl] == nil {
                response.headerFields.append(.cacheControl, "no-store")
            }
            if produces.count > 1 { response.headerFields[.vary] = "Accept" }
        }
        @Sendable func refusal(_ error: any Error) -> Response {
            var response = Problem(error).response
            finish(&response)
            return response
        }
        @Sendable func handle(_ request: Request) async -> Response {
            do {
                let call = try Call(request, query: query, produces: produces)
                try call.checkDigest()
                var response =
                    request.sink == nil && request.body.count < BackgroundWork.bytesMin
                    ? try await handler(call)
                    : try await service.background.run { try await handler(call) }
                if inRanges { response = try response.ranged(for: request.head) }
                if let digest = response.contentDigest(for: request.head) {
                    response.headerFields[.contentDigest] = digest
                }
                finish(&response)
                return response
            } catch {
                return refusal(error)
            }
        }
        var planned: Route.BodyPlanner?
        if let preview {
            planned = { head, pathParameters, length in
                let request = Request(head: head, pathParameters: pathParameters)
                do {
                    return try await preview(
                        try Call(request, query: query, produces: produces), length)
                } catch {
                    return .reject(refusal(error))
                }
            }
        }
        return Route(
            method: method, pattern: pattern, operationID: id, mediaTypes: body.mediaTypes,
            bodyBytesMax: body.bytesMax, planBody: planned, handler: handle)
    }

    /// Renders a response with so many numbers; a long one on a background executor.
    func written(
        _ count: Int, _ write: @escaping @Sendable () -> Response
    ) async -> Response {
        guard count * 8 >= BackgroundWork.bytesMin else { return write() }
        return await service.background.run { write() }
    }
}
