internal import HTTPServer
internal import HTTPTypes
internal import Sessions
internal import Wire

extension Operations {
    /// The most points in one response, at some 160 bytes each.
    private static let traceLimitDefault = 10_000
    private static let traceLimitMax = 100_000

    var trace: [Route] {
        [
            operation(
                "getTrace", .get, "/v1/sessions/{session}/trace", query: ["from", "limit"],
                produces: [.json, .csv, .ndjson], handler: getTrace)
        ]
    }

    @Sendable private func getTrace(_ call: Call) async throws -> Response {
        let id = try call.session()
        let first = try call.queryNumber("from") ?? 1
        let asked = try call.queryNumber("limit")
        let limit = asked ?? Operations.traceLimitDefault
        guard limit <= Operations.traceLimitMax else {
            throw Problem.invalid("query.limit", "must be at most \(Operations.traceLimitMax)")
        }
        let points = try await service.trace(id, from: first, limit: limit)
        // A full page may be the last one; the next page is then empty and has no token.
        let next = points.count == limit ? points.last.map { $0.evaluation + 1 } : nil
        // A point is written in the place of some 20 numbers.
        let response = await written(20 * points.count) {
            let body =
                switch call.representation {
                case .csv: points.csv
                case .ndjson: points.ndjson
                case .json, .problem, .octets, .safetensors, .npy, .sessionFile, .eventStream,
                    .yaml, .prometheus:
                    points.json(session: id, next: next)
                }
            return Response(body, as: call.representation)
        }
        guard let next else { return response }
        return response.linking(
            to: "\(Location.session(id))/trace",
            query: [("from", String(next)), ("limit", asked.map(String.init))])
    }
}
