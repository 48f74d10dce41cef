internal import HTTPServer
internal import HTTPTypes
internal import Sessions
internal import Wire

extension Operations {
    var parameters: [Route] {
        [
            operation(
                "getParameters", .get, "/v1/sessions/{session}/params", handler: getParameters),
            operation(
                "setParameters", .put, "/v1/sessions/{session}/params",
                body: .json(bytesMax: bodies.vector), handler: setParameters),
        ]
    }

    @Sendable private func getParameters(_ call: Call) async throws -> Response {
        let view = try await service.parameters(try call.session())
        return Response(view.json, tag: view.tag).unlessSeen(view.tag, by: call)
    }

    @Sendable private func setParameters(_ call: Call) async throws -> Response {
        let id = try call.session()
        let precondition = try call.precondition()
        let document = try ParametersDocument(json: call.body)
        if document.dtype != nil || !document.shapes.isEmpty {
            // Both are fixed at creation: looking first can't be overtaken.
            let errors = document.mismatches(with: try await service.view(id).record)
            guard errors.isEmpty else { throw Problem(errors) }
        }
        let view = try await service.setParameters(id, document.input, precondition: precondition)
        return Response(view.json, tag: view.tag)
    }
}
