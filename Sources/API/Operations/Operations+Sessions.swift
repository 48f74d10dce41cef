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
                query: ["page_size", "page_token", "label", "name"], handler: listSessions),
            operation("getSession", .get, "/v1/sessions/{session}", handler: getSession),
            operation(
                "updateSession", .patch, "/v1/sessions/{session}",
                body: .json(bytesMax: bodies.small), handler: updateSession),
            operation(
                "deleteSession", .delete, "/v1/sessions/{session}", produces: [],
                handler: deleteSession),
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
        let label = call.query("label")
        let page = try await service.list(
            pageSize: size, after: try call.pageToken(), label: try label.map(parseLabel),
            name: call.query("name"), tenant: call.caller.tenant)
        let response = Response(page.json)
        guard let next = page.next else { return response }
        return response.linking(
            to: "/v1/sessions",
            query: [
                ("label", label), ("name", call.query("name")),
                ("page_size", size.map(String.init)), ("page_token", next.text),
            ])
    }

    /// Parses `key:value`. A key has no colon, so the first colon ends it.
    private func parseLabel(_ text: String) throws -> (key: String, value: String) {
        guard let colon = text.firstIndex(of: ":"), colon != text.startIndex else {
            throw Problem.invalid("query.label", "must be a label's key, a colon and its value")
        }
        return (String(text[..<colon]), String(text[text.index(after: colon)...]))
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
}
