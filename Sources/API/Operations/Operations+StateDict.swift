internal import HTTPServer
internal import HTTPTypes
internal import Sessions
internal import Wire

extension Operations {
    var stateDict: [Route] {
        [
            operation(
                "getStateDict", .get, "/v1/sessions/{session}/state-dict", handler: getStateDict),
            operation(
                "loadStateDict", .put, "/v1/sessions/{session}/state-dict",
                body: .json(bytesMax: bodies.state), handler: loadStateDict),
        ]
    }

    @Sendable private func getStateDict(_ call: Call) async throws -> Response {
        let (dict, tag) = try await service.stateDict(try call.session())
        return Response(dict.json, tag: tag).unlessSeen(tag, by: call)
    }

    @Sendable private func loadStateDict(_ call: Call) async throws -> Response {
        let (dict, tag) = try await service.loadStateDict(
            try call.session(), StateDict(json: call.body), precondition: try call.precondition())
        return Response(dict.json, tag: tag)
    }
}
