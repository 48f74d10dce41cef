internal import HTTPServer
internal import HTTPTypes
internal import Sessions
internal import Wire

extension Operations {
    var bounds: [Route] {
        let one = "/v1/sessions/{session}/bounds"
        return [
            operation(
                "getBounds", .get, one, produces: Self.vectorForms, inRanges: true,
                handler: getBounds),
            operation(
                "setBounds", .put, one,
                body: .jsonOr(Representation.vectors, bytesMax: bodies.bounded),
                produces: Self.vectorForms, preview: previewBounds, handler: setBounds),
            operation(
                "getActiveSet", .get, "/v1/sessions/{session}/active-set",
                query: ["from", "limit"], handler: getActiveSet),
        ]
    }

    @Sendable private func getBounds(_ call: Call) async throws -> Response {
        let view = try await service.withSession(try call.session()) { try await $0.bounds() }
        let tag = view.tag.text(as: call.representation)
        return await written(view.numberCount, tag: tag, for: call) { response(view, to: call) }
    }

    /// Refuses what can be refused before the body is read.
    @Sendable private func previewBounds(_ call: Call, _ length: Int) async throws -> BodyPlan {
        let count = try await service.withSession(try call.session()) {
            try await $0.countToBeBounded()
        }
        let isJSON = call.bodyRepresentation == .json
        let most = isJSON ? bodies.boundedJSON : 3 * (8 * count + bodies.names)
        guard length <= most else {
            throw Problem(RequestRejection.contentTooLarge(limit: most))
        }
        guard isJSON else { return .collect }
        return try planJSON(length, call, numbersMax: 3 * count)
    }

    @Sendable private func setBounds(_ call: Call) async throws -> Response {
        let id = try call.session()
        let key = try call.idempotencyKey()
        let precondition = try call.precondition()
        let request: BoundsRequest
        if call.bodyRepresentation == .json {
            let document = try BoundsDocument(call.document())
            // Both are fixed at creation, so reading them before the write can't race with a
            // change.
            if document.stated.dtype != nil || !document.stated.shapes.isEmpty {
                let errors = document.stated.mismatches(with: try await service.view(id).record)
                guard errors.isEmpty else { throw Problem(errors) }
            }
            request = document.request
        } else if let body = try CollectedVector(call.body, as: call.bodyRepresentation) {
            request = .collected(body)
        } else {
            throw Problem(.malformed, "The body is not a vector.")
        }
        let outcome = try await service.withSession(id) {
            try await $0.setBounds(request, idempotency: key, precondition: precondition)
        }
        return await written(outcome.value.numberCount) {
            response(outcome.value, to: call).replayed(outcome.isReplay)
        }
    }

    private func response(_ view: BoundsView, to call: Call) -> Response {
        guard let head = view.head(as: call.representation) else {
            return Response(view.json, tag: view.tag)
        }
        return Response(head, view.vector, as: call.representation, tag: view.tag)
            .with(view.octetFields)
    }

    /// The page of an active set that is asked for without a limit.
    private static let activeSetLimitDefault = 1_000

    @Sendable private func getActiveSet(_ call: Call) async throws -> Response {
        let id = try call.session()
        let first = try call.queryNumber("from", from: 0) ?? 0
        let asked = try call.queryNumber("limit")
        let most = service.limits.activeBoundsMax
        guard asked ?? 1 <= most else {
            throw Problem.invalid("query.limit", "must be at most \(most)")
        }
        let limit = asked ?? min(Self.activeSetLimitDefault, most)
        let view = try await service.withSession(id) {
            try await $0.activeSet(from: first, limit: limit)
        }
        // An entry is written in the place of some ten numbers.
        let tag = view.tag.text(as: call.representation)
        let response = await written(10 * view.entries.count, tag: tag, for: call) {
            Response(view.json, tag: view.tag)
        }
        guard let next = view.next else { return response }
        return response.linking(
            to: "\(Location.session(id))/active-set",
            query: [("from", String(next)), ("limit", asked.map(String.init))])
    }
}
