internal import HTTPServer
internal import HTTPTypes
internal import Sessions
internal import Wire

extension Operations {
    /// Sessions as portable files.
    var transfer: [Route] {
        [
            operation(
                "exportSession", .get, "/v1/sessions/{session}/export", produces: [.sessionFile],
                inRanges: true, handler: exportSession),
            operation(
                "importSession", .post, "/v1/sessions:import", query: ["name", "labels"],
                body: .only(.sessionFile, bytesMax: bodies.sessionFile), preview: previewImport,
                handler: importSession),
        ]
    }

    @Sendable private func exportSession(_ call: Call) async throws -> Response {
        let id = try call.session()
        if call.isConditional {
            let tag = try await service.view(id).tag.text(as: .sessionFile)
            if call.hasSeen(tag) { return Response(status: .notModified).with(.eTag, tag) }
        }
        let (file, tag) = try await service.export(id)
        // All of it is hashed.
        let source = await service.background.run { SessionFileSource(file) }
        var response = Response([], as: .sessionFile, tag: tag)
            .with(.contentDisposition, "attachment; filename=\"\(id).safetensors\"")
        response.body = .source(source)
        return response
    }

    @Sendable private func previewImport(_ call: Call, _ length: Int) async throws -> BodyPlan {
        .stream(
            SessionFileSink(
                head: call.request.head, length: length, limits: service.limits,
                background: service.background))
    }

    @Sendable private func importSession(_ call: Call) async throws -> Response {
        if case .oneOf = try call.precondition() {
            throw Problem(.preconditionFailed, "The list of sessions has no entity tag.")
        }
        let name: String?? = call.query("name").map { $0.isEmpty ? nil : $0 }
        let labels = try call.query("labels").map {
            try LabelsText.labels($0, field: "query.labels")
        }
        let sink =
            call.request.sink as? SessionFileSink
            ?? SessionFileSink(
                call.body, head: call.request.head, limits: service.limits,
                background: service.background)
        let (file, digest) = try sink.take()
        let key = try call.idempotencyKey(bodyDigest: digest)
        return created(
            try await service.insert(
                file, name: name, labels: labels, tenant: call.caller.tenant, idempotency: key))
    }
}
