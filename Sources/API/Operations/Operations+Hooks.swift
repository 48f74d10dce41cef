internal import HTTPServer
internal import HTTPTypes
internal import Sessions
internal import Wire

extension Operations {
    var hooks: [Route] {
        let all = "/v1/sessions/{session}/hooks"
        let one = "/v1/sessions/{session}/hooks/{hook}"
        return [
            operation(
                "registerHook", .post, all, body: .json(bytesMax: bodies.small),
                handler: registerHook),
            operation("listHooks", .get, all, handler: listHooks),
            operation("getHook", .get, one, handler: getHook),
            operation("removeHook", .delete, one, produces: [], handler: removeHook),
            operation(
                "answerHookCall", .put, "/v1/sessions/{session}/hook-calls/{call}/answer",
                body: .json(bytesMax: bodies.state), numbersMax: stateNumbersMax,
                handler: answerHookCall),
            operation(
                "listDeliveries", .get, one + "/deliveries", query: ["page_size", "page_token"],
                handler: listDeliveries),
            operation(
                "redeliver", .post, one + "/deliveries/{delivery}/redeliver",
                body: .json(bytesMax: bodies.small), handler: redeliver),
        ]
    }

    @Sendable private func registerHook(_ call: Call) async throws -> Response {
        let request = try HookRequest(json: call.body)
        let id = try call.session()
        let key = try call.idempotencyKey()
        let precondition = try call.precondition()
        let outcome = try await service.withSession(id) {
            try await $0.addHook(request, idempotency: key, precondition: precondition)
        }
        return Response(outcome.value.json(showsSecret: true), status: .created)
            .with(.location, Location.hook(outcome.value.id, of: id))
            .replayed(outcome.isReplay)
    }

    @Sendable private func listHooks(_ call: Call) async throws -> Response {
        Response(
            HookList.json(
                try await service.withSession(try call.session()) { try await $0.hooks() }))
    }

    @Sendable private func getHook(_ call: Call) async throws -> Response {
        let name = call.shortened(call.name(.hook))
        let hook = try await service.withSession(try call.session()) { try await $0.hook(name) }
        return Response(hook.json(showsSecret: false))
    }

    @Sendable private func removeHook(_ call: Call) async throws -> Response {
        let id = try call.session()
        let name = call.shortened(call.name(.hook))
        let precondition = try call.precondition()
        try await service.withSession(id) {
            try await $0.removeHook(name, precondition: precondition)
        }
        return Response(status: .noContent)
    }

    @Sendable private func answerHookCall(_ call: Call) async throws -> Response {
        let id = try call.session()
        let number = try call.number(.hookCall)
        let answer = try HookAnswer(call.document(isOptional: true))
        let precondition = try call.precondition()
        let digest = call.bodyDigest
        return await turn(
            try await service.withSession(id) {
                try await $0.answer(
                    number, answer, digest: digest, precondition: precondition)
            }, to: call)
    }

    @Sendable private func listDeliveries(_ call: Call) async throws -> Response {
        let id = try call.session()
        let hook = call.shortened(call.name(.hook))
        let size = try call.queryNumber("page_size")
        let page = try await service.deliveries(
            id, hook: hook, pageSize: size, after: try call.pageToken())
        let response = Response(page.json)
        guard let next = page.next else { return response }
        return response.linking(
            to: Location.hook(hook, of: id) + "/deliveries",
            query: [("page_size", size.map(String.init)), ("page_token", next.text)])
    }

    @Sendable private func redeliver(_ call: Call) async throws -> Response {
        try NoFields.check(json: call.body)
        let delivery = try await service.redeliver(
            try call.session(), hook: call.shortened(call.name(.hook)),
            delivery: call.shortened(call.name(.delivery)))
        return Response(delivery.json, status: .accepted)
    }
}
