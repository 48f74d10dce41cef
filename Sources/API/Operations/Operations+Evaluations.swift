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
            operation(
                "tellShard", .put, "/v1/sessions/{session}/evaluations/{evaluation}/shards/{shard}",
                body: .json(bytesMax: bodies.vector), handler: tellShard),
            operation(
                "leaseShard", .post, "/v1/sessions/{session}/evaluations/{evaluation}/lease",
                body: .json(bytesMax: bodies.small), handler: leaseShard),
            operation(
                "zeroGrad", .post, "/v1/sessions/{session}/zero-grad",
                body: .json(bytesMax: bodies.small), handler: zeroGrad),
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

    @Sendable private func tellShard(_ call: Call) async throws -> Response {
        turn(
            try await service.tellShard(
                try call.session(), evaluation: try call.number(.evaluation),
                shard: try call.number(.shard, from: 0), TellRequest(json: call.body),
                precondition: try call.precondition()))
    }

    @Sendable private func leaseShard(_ call: Call) async throws -> Response {
        let request = try LeaseRequest(json: call.body)
        let lease = try await service.lease(
            try call.session(), evaluation: try call.number(.evaluation), worker: request.worker,
            seconds: request.seconds, precondition: try call.precondition())
        return Response(lease.json)
    }

    @Sendable private func zeroGrad(_ call: Call) async throws -> Response {
        let request = try ZeroGradientRequest(json: call.body)
        return turn(
            try await service.zeroGradient(
                try call.session(), setToNone: request.setToNone,
                idempotency: try call.idempotencyKey(), precondition: try call.precondition()))
    }
}
