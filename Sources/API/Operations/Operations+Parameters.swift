internal import HTTPServer
internal import HTTPTypes
internal import Sessions
internal import Wire

extension Operations {
    var parameters: [Route] {
        [
            operation(
                "getParameters", .get, "/v1/sessions/{session}/params",
                produces: Self.vectorForms, inRanges: true, handler: getParameters),
            operation(
                "setParameters", .put, "/v1/sessions/{session}/params",
                body: .jsonOr(Representation.vectors, bytesMax: bodies.vector),
                produces: Self.vectorForms, preview: previewParameters, handler: setParameters),
        ]
    }

    @Sendable private func getParameters(_ call: Call) async throws -> Response {
        let view = try await service.withSession(try call.session()) {
            try await $0.parameters()
        }
        let tag = view.tag.text(as: call.representation)
        return await written(view.values.count, tag: tag, for: call) { response(view, to: call) }
    }

    @Sendable private func setParameters(_ call: Call) async throws -> Response {
        let id = try call.session()
        let precondition = try call.precondition()
        if let input = try await call.vector() {
            let view = try await service.withSession(id) {
                try await $0.setParameters(input, precondition: precondition)
            }
            return await written(view.values.count) { response(view, to: call) }
        }
        let document = try ParametersDocument(call.document())
        if document.dtype != nil || !document.shapes.isEmpty {
            // Both are fixed at creation, so reading them before the write can't race with a
            // change.
            let errors = document.mismatches(with: try await service.view(id).record)
            guard errors.isEmpty else { throw Problem(errors) }
        }
        let view = try await service.withSession(id) {
            try await $0.setParameters(document.input, precondition: precondition)
        }
        return await written(view.values.count) { response(view, to: call) }
    }

    private func response(_ view: ParametersView, to call: Call) -> Response {
        Response(view.values, of: view.specs, as: call.representation, tag: view.tag)?
            .with(view.octetFields) ?? Response(view.json, tag: view.tag)
    }
}
