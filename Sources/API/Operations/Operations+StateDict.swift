internal import HTTPServer
internal import HTTPTypes
internal import Sessions
internal import Wire

extension Operations {
    var stateDict: [Route] {
        [
            operation(
                "getStateDict", .get, "/v1/sessions/{session}/state-dict",
                produces: [.json, .safetensors], inRanges: true, handler: getStateDict),
            operation(
                "loadStateDict", .put, "/v1/sessions/{session}/state-dict", query: ["match"],
                body: .jsonOr([.safetensors], bytesMax: bodies.state),
                produces: [.json, .safetensors], handler: loadStateDict),
        ]
    }

    @Sendable private func getStateDict(_ call: Call) async throws -> Response {
        let (dict, tag) = try await service.withSession(try call.session()) {
            try await $0.stateDict()
        }
        return response(dict, tag, to: call).unlessSeen(tag, by: call)
    }

    @Sendable private func loadStateDict(_ call: Call) async throws -> Response {
        let dict =
            call.bodyRepresentation == .safetensors
            ? try StateDict(safetensors: call.body) : try StateDict(json: call.body)
        let id = try call.session()
        let matching = try matching(call)
        let precondition = try call.precondition()
        let (loaded, tag) = try await service.withSession(id) {
            try await $0.loadStateDict(dict, matching: matching, precondition: precondition)
        }
        return response(loaded, tag, to: call)
    }

    /// The state dict in the negotiated representation.
    func response(_ dict: StateDict, _ tag: EntityTag?, to call: Call) -> Response {
        let body =
            call.representation == .safetensors
            ? dict.safetensors : dict.json
        return Response(body, as: call.representation, tag: tag)
    }

    private func matching(_ call: Call) throws -> StateDictMatching {
        guard let text = call.query("match") else { return .position }
        guard let matching = StateDictMatching(rawValue: text) else {
            throw Problem.invalid("query.match", "must be position or name, not \(text)")
        }
        return matching
    }
}
