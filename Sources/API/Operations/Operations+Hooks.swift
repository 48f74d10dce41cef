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
                body: .json(bytesMax: bodies.state), handler: answerHookCall),
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
        let outcome = try await service.addHook(
            id, request, idempotency: try call.idempotencyKey(),
            precondition: try call.precondition())
        return Response(outcome.value.json(showsSecret: true), status: .created)
            .with(.location, Location.hook(outcome.value.id, of: id))
            .replayed(outcome.isReplay)
    }

    @Sendable private func listHooks(_ call: Call) async throws -> Response {
        Response(HookList.json(try await service.hooks(try call.session())))
    }

    @Sendable private func getHook(_ call: Call) async throws -> Response {
        let hook = try await service.hook(
            try call.session(), hook: call.shortened(call.name(.hook)))
        return Response(hook.json(showsSecret: false))
    }

    @Sendable private func removeHook(_ call: Call) async throws -> Response {
        try await service.removeHook(
            try call.session(), hook: call.shortened(call.name(.hook)),
            precondition: try call.precondition())
        return Response(status: .noContent)
    }

    @Sendable private func answerHookCall(_ call: Call) async throws -> Response {
        turn(
            try await service.answer(
                try call.session(), call: try call.number(.hookCall), HookAnswer(json: call.body),
                digest: .of(call.body), precondition: try call.precondition()), to: call)
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
