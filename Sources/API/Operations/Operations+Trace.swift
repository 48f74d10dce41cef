internal import HTTPServer
internal import HTTPTypes
internal import Sessions
internal import Wire

extension Operations {
    /// The most points in one response, at some 160 bytes each.
    private static let traceLimitDefault = 10_000
    private static let traceLimitMax = 100_000
    /// The most points of a trace that is decimated.
    private static let tracePointsMax = 10_000

    var trace: [Route] {
        [
            operation(
                "getTrace", .get, "/v1/sessions/{session}/trace",
                query: ["from", "limit", "points", "iteration", "step"],
                produces: [.json, .csv, .ndjson], handler: getTrace)
        ]
    }

    @Sendable private func getTrace(_ call: Call) async throws -> Response {
        let id = try call.session()
        if let count = try call.queryNumber("points", from: 2) {
            return try await decimated(id, to: count, for: call)
        }
        if let iteration = try call.queryNumber("iteration", from: 0) {
            return try await points(of: iteration, in: id, for: call)
        }
        guard call.query("step") == nil else {
            throw Problem.invalid("query.step", "must come with iteration")
        }
        let first = try call.queryNumber("from") ?? 1
        let (asked, limit) = try traceLimit(call)
        let points = try await service.trace(id, from: first, limit: limit)
        // A full page may be the last one; the next page is then empty and has no token.
        let next = points.count == limit ? points.last.map { $0.evaluation + 1 } : nil
        // A point is written in the place of some 20 numbers.
        let response = await traceResponse(
            call, numbers: 20 * points.count, csv: { points.csv }, ndjson: { points.ndjson },
            json: { points.json(session: id, next: next) })
        guard let next else { return response }
        return response.linking(
            to: "\(Location.session(id))/trace",
            query: [("from", String(next)), ("limit", asked.map(String.init))])
    }

    private func decimated(
        _ id: SessionID, to count: Int, for call: Call
    ) async throws -> Response {
        try call.refuse(["from", "limit", "iteration", "step"], beside: "points")
        guard count <= Operations.tracePointsMax else {
            throw Problem.invalid(
                "query.points", "must be at most \(Operations.tracePointsMax)")
        }
        let trace = try await service.decimatedTrace(id, to: count)
        let points = trace.points
        return await traceResponse(
            call, numbers: 20 * points.count, csv: { points.csv }, ndjson: { points.ndjson },
            json: {
                points.json(
                    session: id, entries: trace.entries,
                    failures: trace.failures.map { ($0.first, $0.last, $0.count) })
            })
    }

    private func points(
        of iteration: Int, in id: SessionID, for call: Call
    ) async throws -> Response {
        try call.refuse(["from", "limit"], beside: "iteration")
        let points = try await service.trace(
            id, iteration: iteration, step: try call.queryNumber("step"))
        return await traceResponse(
            call, numbers: 20 * points.count, csv: { points.csv }, ndjson: { points.ndjson },
            json: { points.json(session: id, next: nil) })
    }

    /// What the query asks for, and the most points of this response.
    func traceLimit(_ call: Call) throws -> (asked: Int?, limit: Int) {
        let asked = try call.queryNumber("limit")
        let limit = asked ?? Operations.traceLimitDefault
        guard limit <= Operations.traceLimitMax else {
            throw Problem.invalid("query.limit", "must be at most \(Operations.traceLimitMax)")
        }
        return (asked, limit)
    }

    /// A trace in the form that the client accepts.
    /// - Parameter numbers: How many numbers take as long to write.
    func traceResponse(
        _ call: Call, numbers: Int, csv: @escaping @Sendable () -> [UInt8],
        ndjson: @escaping @Sendable () -> [UInt8], json: @escaping @Sendable () -> [UInt8]
    ) async -> Response {
        let representation = call.representation
        return await written(numbers) {
            let body =
                switch representation {
                case .csv: csv()
                case .ndjson: ndjson()
                case .json, .problem, .octets, .safetensors, .npy, .sessionFile, .eventStream,
                    .yaml, .html, .prometheus:
                    json()
                }
            return Response(body, as: representation)
        }
    }
}
