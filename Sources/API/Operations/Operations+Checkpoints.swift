internal import HTTPServer
internal import HTTPTypes
internal import Sessions
internal import Wire

extension Operations {
    var checkpoints: [Route] {
        let all = "/v1/sessions/{session}/checkpoints"
        let one = "/v1/sessions/{session}/checkpoints/{checkpoint}"
        let small = Body.json(bytesMax: bodies.small)
        return [
            operation("createCheckpoint", .post, all, body: small, handler: createCheckpoint),
            operation(
                "listCheckpoints", .get, all, query: ["page_size", "page_token"],
                handler: listCheckpoints),
            operation("getCheckpoint", .get, one, handler: getCheckpoint),
            operation("updateCheckpoint", .patch, one, body: small, handler: updateCheckpoint),
            operation("deleteCheckpoint", .delete, one, produces: [], handler: deleteCheckpoint),
            operation(
                "getCheckpointStateDict", .get, one + "/state-dict",
                produces: [.json, .safetensors], inRanges: true, handler: getCheckpointStateDict),
            operation(
                "restoreCheckpoint", .post, one + "/restore", body: small,
                produces: Self.vectorForms, handler: restoreCheckpoint),
            operation(
                "forkCheckpoint", .post, one + "/fork", body: small, handler: forkCheckpoint),
        ]
    }

    @Sendable private func createCheckpoint(_ call: Call) async throws -> Response {
        let id = try call.session()
        let request = try CheckpointRequest(json: call.body)
        let outcome = try await service.createCheckpoint(
            id, name: request.name, isKept: request.isKept,
            idempotency: try call.idempotencyKey(), precondition: try call.precondition())
        return Response(outcome.value.json, status: .created)
            .with(.location, Location.checkpoint(outcome.value.record.number, of: id))
            .replayed(outcome.isReplay)
    }

    @Sendable private func listCheckpoints(_ call: Call) async throws -> Response {
        let id = try call.session()
        let size = try call.queryNumber("page_size")
        let page = try await service.checkpoints(
            id, pageSize: size, after: try call.pageToken())
        let response = Response(page.json(session: id))
        guard let next = page.next else { return response }
        return response.linking(
            to: "\(Location.session(id))/checkpoints",
            query: [("page_size", size.map(String.init)), ("page_token", next.text)])
    }

    @Sendable private func getCheckpoint(_ call: Call) async throws -> Response {
        let view = try await service.checkpoint(
            try call.session(), number: try call.number(.checkpoint))
        return Response(view.json)
    }

    @Sendable private func updateCheckpoint(_ call: Call) async throws -> Response {
        let id = try call.session()
        let number = try call.number(.checkpoint)
        let update = try CheckpointUpdate(json: call.body)
        let precondition = try call.precondition()
        try await service.withSession(id) {
            try await $0.keepCheckpoint(number, update.isKept, precondition: precondition)
        }
        return Response(try await service.checkpoint(id, number: number).json)
    }

    @Sendable private func deleteCheckpoint(_ call: Call) async throws -> Response {
        let id = try call.session()
        let number = try call.number(.checkpoint)
        let precondition = try call.precondition()
        try await service.withSession(id) {
            try await $0.deleteCheckpoint(number, precondition: precondition)
        }
        return Response(status: .noContent)
    }

    @Sendable private func getCheckpointStateDict(_ call: Call) async throws -> Response {
        let number = try call.number(.checkpoint)
        let id = try call.session()
        // A checkpoint never changes, and its number is never used again.
        let tag = entityTag("c\(number)", as: call.representation)
        if call.hasSeen(tag) {
            _ = try await service.checkpoint(id, number: number)
            return Response(status: .notModified).with(.eTag, tag)
        }
        let dict = try await service.checkpointStateDict(id, number: number)
        return await response(dict, nil, to: call).with(.eTag, tag)
    }

    @Sendable private func restoreCheckpoint(_ call: Call) async throws -> Response {
        try NoFields.check(json: call.body)
        return await turn(
            try await service.restore(
                try call.session(), checkpoint: try call.number(.checkpoint),
                idempotency: try call.idempotencyKey(), precondition: try call.precondition()),
            to: call)
    }

    @Sendable private func forkCheckpoint(_ call: Call) async throws -> Response {
        let id = try call.session()
        let request = try ForkRequest(json: call.body)
        if case .oneOf(let tags) = try call.precondition() {
            // A fork doesn't change the session, so no precondition can be lost to a race.
            let current = try await service.view(id).tag
            guard tags.contains(current.text) else {
                throw SessionError.preconditionFailed(current: current)
            }
        }
        return created(
            try await service.fork(
                id, checkpoint: try call.number(.checkpoint), name: request.name,
                labels: request.labels, idempotency: try call.idempotencyKey()))
    }
}
