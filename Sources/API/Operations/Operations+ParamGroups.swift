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
                "addParamGroup", .post, all, body: .json(bytesMax: bodies.vector),
                handler: addParamGroup),
            operation("listParamGroups", .get, all, handler: listParamGroups),
            operation("getParamGroup", .get, one, handler: getParamGroup),
            operation(
                "updateParamGroup", .patch, one, body: .json(bytesMax: bodies.small),
                handler: updateParamGroup),
        ]
    }

    @Sendable private func addParamGroup(_ call: Call) async throws -> Response {
        let request = try GroupRequest(json: call.body)
        let id = try call.session()
        let outcome = try await service.addGroup(
            id, request, idempotency: try call.idempotencyKey(),
            precondition: try call.precondition())
        return Response(outcome.value.json, status: .created)
            .with(.location, Location.group(outcome.value.index, of: id))
            .replayed(outcome.isReplay)
    }

    @Sendable private func listParamGroups(_ call: Call) async throws -> Response {
        Response(GroupList.json(try await service.groups(try call.session())))
    }

    @Sendable private func getParamGroup(_ call: Call) async throws -> Response {
        let (group, tag) = try await service.group(
            try call.session(), index: try call.number(.group, from: 0))
        return Response(group.json, tag: tag).unlessSeen(tag, by: call)
    }

    @Sendable private func updateParamGroup(_ call: Call) async throws -> Response {
        let (group, tag) = try await service.changeGroup(
            try call.session(), index: try call.number(.group, from: 0),
            GroupUpdate(json: call.body), precondition: try call.precondition())
        return Response(group.json, tag: tag)
    }
}
