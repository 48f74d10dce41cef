internal import HTTPServer
internal import HTTPTypes
internal import Sessions
internal import Wire

extension Operations {
    var paramGroups: [Route] {
        let all = "/v1/sessions/{session}/param-groups"
        let one = "/v1/sessions/{session}/param-groups/{group}"
        return [
            operation(
                "addParamGroup", .post, all, body: .json(bytesMax: bodies.boundedJSON),
                handler: addParamGroup),
            operation("listParamGroups", .get, all, handler: listParamGroups),
            operation("getParamGroup", .get, one, handler: getParamGroup),
            operation(
                "updateParamGroup", .patch, one, body: .json(bytesMax: bodies.small),
                handler: updateParamGroup),
        ]
    }

    @Sendable private func addParamGroup(_ call: Call) async throws -> Response {
        let request = try GroupRequest(call.document())
        let id = try call.session()
        let key = try call.idempotencyKey()
        let precondition = try call.precondition()
        let outcome = try await service.withSession(id) {
            try await $0.addGroup(request, idempotency: key, precondition: precondition)
        }
        return Response(outcome.value.json, status: .created)
            .with(.location, Location.group(outcome.value.index, of: id))
            .replayed(outcome.isReplay)
    }

    @Sendable private func listParamGroups(_ call: Call) async throws -> Response {
        Response(
            GroupList.json(
                try await service.withSession(try call.session()) { try await $0.groups() }))
    }

    @Sendable private func getParamGroup(_ call: Call) async throws -> Response {
        let id = try call.session()
        let index = try call.number(.group, from: 0)
        let (group, tag) = try await service.withSession(id) { try await $0.group(index) }
        return Response(group.json, tag: tag).unlessSeen(tag, by: call)
    }

    @Sendable private func updateParamGroup(_ call: Call) async throws -> Response {
        let id = try call.session()
        let index = try call.number(.group, from: 0)
        let update = try GroupUpdate(json: call.body)
        let precondition = try call.precondition()
        let (group, tag) = try await service.withSession(id) {
            try await $0.changeGroup(index, update, precondition: precondition)
        }
        return Response(group.json, tag: tag)
    }
}
