internal import HTTPServer
internal import HTTPTypes
internal import Sessions
internal import Wire

extension Operations {
    var evaluations: [Route] {
        [
            operation(
                "getTurn", .get, "/v1/sessions/{session}/evaluation", handler: getTurn),
            operation(
                "tellResult", .put, "/v1/sessions/{session}/evaluations/{evaluation}/result",
                body: .json(bytesMax: bodies.vector), handler: tellResult),
        ]
    }

    /// Asks. A wait ends when a step runs, and then the answer is at once.
    @Sendable private func getTurn(_ call: Call) async throws -> Response {
        let seconds = call.waitSeconds(atMost: service.limits.waitSecondsMax)
        let turn = try await service.turn(
            try call.session(), waitSeconds: seconds.map(Double.init))
        let response = Response(turn.json, tag: turn.tag).unlessSeen(turn.tag, by: call)
        return seconds.map { response.with(.preferenceApplied, "wait=\($0)") } ?? response
    }

    @Sendable private func tellResult(_ call: Call) async throws -> Response {
        turn(
            try await service.tell(
                try call.session(), evaluation: try call.number(.evaluation),
                TellRequest(json: call.body), precondition: try call.precondition()))
    }
}
