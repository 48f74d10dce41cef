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
                produces: [.json, .safetensors], preview: previewStateDict,
                handler: loadStateDict),
        ]
    }

    /// The most numbers of a state dict: those of the largest session.
    var stateNumbersMax: Int { service.limits.sessionBytesMax / 8 }

    @Sendable private func getStateDict(_ call: Call) async throws -> Response {
        let id = try call.session()
        if call.isConditional {
            // Before the dict is made, which takes several times the session's memory.
            let tag = try await service.view(id).tag.text(as: call.representation)
            if call.hasSeen(tag) { return Response(status: .notModified).with(.eTag, tag) }
        }
        let (dict, tag) = try await service.withSession(id) { try await $0.stateDict() }
        return await response(dict, tag, to: call).unlessSeen(tag, by: call)
    }

    @Sendable private func loadStateDict(_ call: Call) async throws -> Response {
        let dict =
            call.bodyRepresentation == .safetensors
            ? try StateDict(safetensors: call.body) : try StateDict(call.document())
        let id = try call.session()
        let matching = try matching(call)
        let precondition = try call.precondition()
        let (loaded, tag) = try await service.withSession(id) {
            try await $0.loadStateDict(dict, matching: matching, precondition: precondition)
        }
        return await response(loaded, tag, to: call)
    }

    /// The state dict in the negotiated representation.
    func response(_ dict: StateDict, _ tag: EntityTag?, to call: Call) async -> Response {
        let vectors = 2 * (dict.state?.oldDirs?.count ?? 0) + 2
        let count = vectors * (dict.state?.prevFlatGrad?.count ?? 0)
        return await written(count) {
            let body =
                call.representation == .safetensors
                ? dict.safetensors : dict.json
            return Response(body, as: call.representation, tag: tag)
        }
    }

    private func matching(_ call: Call) throws -> StateDictMatching {
        guard let text = call.query("match") else { return .position }
        guard let matching = StateDictMatching(rawValue: text) else {
            throw Problem.invalid("query.match", "must be position or name, not \(text)")
        }
        return matching
    }
}
