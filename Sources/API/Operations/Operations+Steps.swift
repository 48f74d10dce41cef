internal import HTTPServer
internal import HTTPTypes
internal import Sessions
internal import Wire

extension Operations {
    var steps: [Route] {
        [
            operation(
                "beginStep", .post, "/v1/sessions/{session}/steps",
                body: .json(bytesMax: bodies.small), produces: Self.vectorForms,
                handler: beginStep),
            operation("getStep", .get, "/v1/sessions/{session}/steps/{step}", handler: getStep),
            operation(
                "stopStep", .post, "/v1/sessions/{session}/stop",
                body: .json(bytesMax: bodies.small), produces: Self.vectorForms,
                handler: stopStep),
        ]
    }

    @Sendable private func beginStep(_ call: Call) async throws -> Response {
        let request = try StepRequest(json: call.body)
        let id = try call.session()
        let key = try call.idempotencyKey()
        let precondition = try call.precondition()
        let outcome = try await service.withSession(id) {
            try await $0.beginStep(request, idempotency: key, precondition: precondition)
        }
        return await turn(outcome, to: call, status: .created)
            .with(.location, Location.step(outcome.value.step, of: id))
    }

    @Sendable private func getStep(_ call: Call) async throws -> Response {
        let id = try call.session()
        let number = try call.number(.step)
        let view = try await service.withSession(id) { try await $0.step(number) }
        return Response(view.json(session: id))
    }

    @Sendable private func stopStep(_ call: Call) async throws -> Response {
        try NoFields.check(json: call.body)
        let id = try call.session()
        let key = try call.idempotencyKey()
        let precondition = try call.precondition()
        return await turn(
            try await service.withSession(id) {
                try await $0.stop(idempotency: key, precondition: precondition)
            }, to: call)
    }

    /// The turn in the negotiated representation. Inlined, since the answers of small sessions wait
    /// for nothing here.
    @inline(__always)
    func turn(
        _ outcome: Outcome<Turn>, to call: Call, status: HTTPResponse.Status = .ok
    ) async -> Response {
        guard outcome.value.x.count * 8 >= BackgroundWork.bytesMin else {
            return response(outcome.value, to: call, status: status).replayed(outcome.isReplay)
        }
        return await service.background.run {
            response(outcome.value, to: call, status: status).replayed(outcome.isReplay)
        }
    }

    func response(
        _ turn: Turn, to call: Call, status: HTTPResponse.Status = .ok
    ) -> Response {
        Response(turn.x, of: turn.specs, as: call.representation, status: status, tag: turn.tag)?
            .with(turn.octetFields) ?? Response(turn.json, status: status, tag: turn.tag)
    }
}
