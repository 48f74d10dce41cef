internal import HTTPServer
internal import HTTPTypes
internal import Sessions
internal import Wire

extension Operations {
    var sessions: [Route] {
        [
            operation(
                "createSession", .post, "/v1/sessions", body: .json(bytesMax: bodies.boundedJSON),
                handler: createSession),
            operation(
                "listSessions", .get, "/v1/sessions",
                query: [
                    "page_size", "page_token", "label", "name", "state", "mode", "q", "ensemble",
                    "order_by", "descending",
                ], handler: listSessions),
            operation("getSession", .get, "/v1/sessions/{session}", handler: getSession),
            operation(
                "updateSession", .patch, "/v1/sessions/{session}",
                body: .json(bytesMax: bodies.small), handler: updateSession),
            operation(
                "deleteSession", .delete, "/v1/sessions/{session}", produces: [],
                handler: deleteSession),
            operation(
                "purgeSessions", .post, "/v1/sessions:purge", body: .json(bytesMax: bodies.small),
                handler: purgeSessions),
        ]
    }

    @Sendable private func createSession(_ call: Call) async throws -> Response {
        let request = try CreateRequest(call.document())
        if case .oneOf = try call.precondition() {
            throw Problem(.preconditionFailed, "The list of sessions has no entity tag.")
        }
        return created(
            try await service.create(
                request, tenant: call.caller.tenant, idempotency: try call.idempotencyKey()))
    }

    /// 201 for a new session, also when the request is a repetition of the one that created it.
    func created(_ outcome: Outcome<SessionView>) -> Response {
        Response(outcome.value.json, status: .created, tag: outcome.value.tag)
            .with(.location, Location.session(outcome.value.record.id))
            .replayed(outcome.isReplay)
    }

    @Sendable private func listSessions(_ call: Call) async throws -> Response {
        let size = try call.queryNumber("page_size")
        let query = try SessionQuery(
            label: call.queryLabel("label"),
            name: call.query("name"), state: call.queryCase("state"), mode: call.queryCase("mode"),
            text: call.query("q"), ensemble: call.queryEnsemble("ensemble"),
            order: call.queryCase("order_by") ?? .created,
            isDescending: call.queryFlag("descending"))
        let page = try await service.list(
            query, pageSize: size, after: try call.pageToken(), tenant: call.caller.tenant)
        let response = Response(page.json)
        guard let next = page.next else { return response }
        let names = ["label", "name", "state", "mode", "q", "ensemble", "order_by", "descending"]
        return response.linking(
            to: "/v1/sessions",
            query: names.map { ($0, call.query($0)) } + [
                ("page_size", size.map(String.init)), ("page_token", next.text),
            ])
    }

    @Sendable private func getSession(_ call: Call) async throws -> Response {
        let view = try await service.view(try call.session())
        return Response(view.json, tag: view.tag).unlessSeen(view.tag, by: call)
    }

    @Sendable private func updateSession(_ call: Call) async throws -> Response {
        let view = try await service.update(
            try call.session(), UpdateRequest(json: call.body),
            precondition: try call.precondition())
        return Response(view.json, tag: view.tag)
    }

    @Sendable private func deleteSession(_ call: Call) async throws -> Response {
        try await service.delete(try call.session(), precondition: try call.precondition())
        return Response(status: .noContent)
    }

    @Sendable private func purgeSessions(_ call: Call) async throws -> Response {
        let request = try PurgeRequest(json: call.body)
        let outcome = try await service.purge(
            request.criteria, isForced: request.isForced, tenant: call.caller.tenant)
        return Response(outcome.json)
    }
}
