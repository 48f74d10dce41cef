internal import HTTPServer
internal import HTTPTypes
internal import Sessions
internal import Wire

extension Operations {
    var evaluations: [Route] {
        [
            operation(
                "getTurn", .get, "/v1/sessions/{session}/evaluation",
                produces: Self.vectorForms, inRanges: true, handler: getTurn),
            operation(
                "tellResult", .put, "/v1/sessions/{session}/evaluations/{evaluation}/result",
                query: ["loss"], body: .jsonOr(Representation.vectors, bytesMax: bodies.vector),
                produces: Self.vectorForms, preview: previewResult, handler: tellResult),
            operation(
                "tellShard", .put, "/v1/sessions/{session}/evaluations/{evaluation}/shards/{shard}",
                query: ["loss"], body: .jsonOr(Representation.vectors, bytesMax: bodies.vector),
                produces: Self.vectorForms, preview: previewResult, handler: tellShard),
            operation(
                "leaseShard", .post, "/v1/sessions/{session}/evaluations/{evaluation}/lease",
                body: .json(bytesMax: bodies.small), handler: leaseShard),
            operation(
                "zeroGrad", .post, "/v1/sessions/{session}/zero-grad",
                body: .json(bytesMax: bodies.small), produces: Self.vectorForms,
                handler: zeroGrad),
            operation(
                "evaluateBatch", .post, "/v1/evaluations:batch",
                body: .json(bytesMax: bodies.vector), handler: evaluateBatch),
        ]
    }

    /// Asks for the pending evaluation. A long-poll ends as soon as a step runs.
    @Sendable private func getTurn(_ call: Call) async throws -> Response {
        let seconds = call.waitSeconds(atMost: service.limits.waitSecondsMax)
        let turn = try await service.turn(
            try call.session(), waitSeconds: seconds.map(Double.init))
        let tag = turn.tag.text(as: call.representation)
        let answer = await written(turn.x.count, tag: tag, for: call) { response(turn, to: call) }
        return seconds.map { answer.with(.preferenceApplied, "wait=\($0)") } ?? answer
    }

    @Sendable private func tellResult(_ call: Call) async throws -> Response {
        await turn(
            try await service.tell(
                try call.session(), evaluation: try call.number(.evaluation),
                try await told(call), precondition: try call.precondition()),
            to: call)
    }

    @Sendable private func tellShard(_ call: Call) async throws -> Response {
        await turn(
            try await service.tellShard(
                try call.session(), evaluation: try call.number(.evaluation),
                shard: try call.number(.shard, from: 0), try await told(call),
                precondition: try call.precondition()), to: call)
    }

    @Sendable private func leaseShard(_ call: Call) async throws -> Response {
        let request = try LeaseRequest(json: call.body)
        let id = try call.session()
        let number = try call.number(.evaluation)
        let precondition = try call.precondition()
        let lease = try await service.withSession(id) {
            try await $0.lease(
                number, worker: request.worker, seconds: request.seconds,
                precondition: precondition)
        }
        return Response(lease.json)
    }

    @Sendable private func zeroGrad(_ call: Call) async throws -> Response {
        let request = try ZeroGradientRequest(json: call.body)
        let id = try call.session()
        let key = try call.idempotencyKey()
        let precondition = try call.precondition()
        return await turn(
            try await service.withSession(id) {
                try await $0.zeroGradient(
                    setToNone: request.setToNone, idempotency: key, precondition: precondition)
            }, to: call)
    }

    /// The batch itself succeeds even when items fail: each result has a status of its own.
    @Sendable private func evaluateBatch(_ call: Call) async throws -> Response {
        let batch = try EvaluationBatch(call.document(), itemsMax: service.limits.batchItemsMax)
        // Identifiers only: the log has nothing that a client made up.
        let sessions = Set(batch.items.map(\.session)).filter { SessionID($0) != nil }
        call.request.head.admission?.sessions = sessions.sorted()
        let results = await service.evaluate(batch.items, tenant: call.caller.tenant)
        let answers = results.enumerated().map { index, result -> EvaluationBatch.Answer in
            switch result {
            case .success(let outcome): return .turn(outcome.value, isReplay: outcome.isReplay)
            case .failure(let error):
                return .problem(
                    Problem(error, inField: "evaluations[\(index)].").document(
                        for: call.request.head.requestID))
            }
        }
        let count = answers.reduce(0) { sum, answer in
            if case .turn(let turn, _) = answer { sum + turn.x.count } else { sum }
        }
        return await written(count) { Response(batch.json(answers: answers)) }
    }

    private func told(_ call: Call) async throws -> TellRequest {
        if let gradient = try await call.vector() {
            return try TellRequest(gradient: gradient, loss: call.query("loss"))
        }
        guard call.query("loss") == nil else {
            throw Problem.invalid("query.loss", "belongs to a body that is a vector")
        }
        return try TellRequest(call.document())
    }
}
