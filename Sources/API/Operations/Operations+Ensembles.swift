internal import Ensembles
internal import HTTPServer
internal import HTTPTypes
internal import Sessions
internal import Wire

extension Operations {
    /// The most points in one response, at some 200 bytes each.
    private static let traceLimitDefault = 10_000
    private static let traceLimitMax = 100_000

    var ensembleRoutes: [Route] {
        let path = "/v1/ensembles/{ensemble}"
        return [
            operation(
                "createEnsemble", .post, "/v1/ensembles", body: .json(bytesMax: bodies.json),
                numbersMax: 2 * service.limits.ensembleNumbersMax, handler: createEnsemble),
            operation(
                "listEnsembles", .get, "/v1/ensembles", query: ["page_size", "page_token"],
                handler: listEnsembles),
            operation("getEnsemble", .get, path, handler: getEnsemble),
            operation("deleteEnsemble", .delete, path, produces: [], handler: deleteEnsemble),
            operation(
                "listMembers", .get, path + "/members", query: ["points"], handler: listMembers),
            operation(
                "askEnsemble", .post, path + "/evaluations", body: .json(bytesMax: bodies.small),
                handler: askEnsemble),
            operation(
                "tellEnsemble", .post, path + "/results", body: .json(bytesMax: bodies.json),
                handler: tellEnsemble),
            operation(
                "stopEnsemble", .post, path + "/stop", body: .json(bytesMax: bodies.small),
                handler: stopEnsemble),
            operation(
                "getEnsembleTrace", .get, path + "/trace",
                query: ["member", "from", "limit"], produces: [.json, .csv, .ndjson],
                handler: getEnsembleTrace),
            operation(
                "streamEnsembleEvents", .get, path + "/events", produces: [.eventStream],
                handler: streamEnsembleEvents),
        ]
    }

    @Sendable private func createEnsemble(_ call: Call) async throws -> Response {
        let request = try EnsembleRequest(call.document())
        if case .oneOf = try call.precondition() {
            throw Problem(.preconditionFailed, "The list of ensembles has no entity tag.")
        }
        let outcome = try await ensembles.create(
            request, tenant: call.caller.tenant, idempotency: try call.idempotencyKey())
        let view = outcome.value
        return await written(view.record.specification.parameterCount) {
            Response(view.json, status: .created, tag: view.tag)
                .with(.location, Location.ensemble(view.record.id))
                .replayed(outcome.isReplay)
        }
    }

    @Sendable private func listEnsembles(_ call: Call) async throws -> Response {
        let size = try call.queryNumber("page_size")
        let page = try await ensembles.list(
            pageSize: size, after: try call.pageToken(), tenant: call.caller.tenant)
        let response = Response(page.json)
        guard let next = page.next else { return response }
        return response.linking(
            to: "/v1/ensembles",
            query: [("page_size", size.map(String.init)), ("page_token", next.text)])
    }

    @Sendable private func getEnsemble(_ call: Call) async throws -> Response {
        let view = try await ensembles.view(try call.ensemble())
        return await written(
            view.record.specification.parameterCount, tag: view.tag.text, for: call
        ) { Response(view.json, tag: view.tag) }
    }

    @Sendable private func deleteEnsemble(_ call: Call) async throws -> Response {
        try await ensembles.delete(
            try call.ensemble(), precondition: try call.precondition())
        return Response(status: .noContent)
    }

    @Sendable private func listMembers(_ call: Call) async throws -> Response {
        let id = try call.ensemble()
        let withPoints = try call.queryFlag("points") ?? false
        let (members, tag) = try await ensembles.ranking(id, withPoints: withPoints)
        let numbers = members.reduce(20 * members.count) { $0 + ($1.x?.count ?? 0) }
        return await written(numbers, tag: tag.text, for: call) {
            Response(members.json(ensemble: id), tag: tag)
        }
    }

    @Sendable private func askEnsemble(_ call: Call) async throws -> Response {
        let seconds = call.waitSeconds(atMost: service.limits.waitSecondsMax)
        let turn = try await ensembles.ask(
            try call.ensemble(), EnsembleAsk(json: call.body),
            waitSeconds: seconds.map(Double.init), precondition: try call.precondition())
        let answer = await written(turn.numbers) { Response(turn.json, tag: turn.tag) }
        return seconds.map { answer.with(.preferenceApplied, "wait=\($0)") } ?? answer
    }

    /// The request itself succeeds even when results fail: each has a status of its own.
    @Sendable private func tellEnsemble(_ call: Call) async throws -> Response {
        let results = try EnsembleResults(
            call.document(), itemsMax: service.limits.batchItemsMax)
        let seconds = call.waitSeconds(atMost: service.limits.waitSecondsMax)
        let (answers, turn) = try await ensembles.tell(
            try call.ensemble(), results.items, asking: results.ask,
            waitSeconds: seconds.map(Double.init), precondition: try call.precondition())
        let written = answers.enumerated().map { index, answer in
            (
                member: answer.member, session: answer.session,
                answer: outcome(of: answer, at: index, of: call)
            )
        }
        let response = await self.written(turn.numbers + 20 * answers.count) {
            Response(EnsembleResults.json(answers: written, turn: turn), tag: turn.tag)
        }
        return seconds.map { response.with(.preferenceApplied, "wait=\($0)") } ?? response
    }

    private func outcome(
        of answer: EnsembleAnswer, at index: Int, of call: Call
    ) -> EnsembleResults.Answer {
        switch answer.outcome {
        case .success(let outcome): .told(outcome.value, isReplay: outcome.isReplay)
        case .failure(let error):
            .problem(
                Problem(error, inField: "results[\(index)].").document(
                    for: call.request.head.requestID))
        }
    }

    @Sendable private func stopEnsemble(_ call: Call) async throws -> Response {
        try NoFields.check(json: call.body)
        let outcome = try await ensembles.stop(
            try call.ensemble(), precondition: try call.precondition())
        let view = outcome.value
        return await written(view.record.specification.parameterCount) {
            Response(view.json, tag: view.tag).replayed(outcome.isReplay)
        }
    }

    @Sendable private func getEnsembleTrace(_ call: Call) async throws -> Response {
        let id = try call.ensemble()
        let member = try call.queryNumber("member", from: 0) ?? 0
        let first = try call.queryNumber("from") ?? 1
        let (asked, limit) = try traceLimit(call)
        let (points, next) = try await ensembles.trace(
            id, member: member, from: first, limit: limit)
        let response = await traceResponse(
            call, numbers: 25 * points.count, csv: { points.csv }, ndjson: { points.ndjson },
            json: { points.json(ensemble: id, next: next) })
        guard let next else { return response }
        return response.linking(
            to: "\(Location.ensemble(id))/trace",
            query: [
                ("member", String(next.0)), ("from", String(next.1)),
                ("limit", asked.map(String.init)),
            ])
    }

    @Sendable private func streamEnsembleEvents(_ call: Call) async throws -> Response {
        let id = try call.ensemble()
        let events = try await ensembles.events(id, heartbeatSeconds: heartbeatSeconds)
        return eventStream(EnsembleFrames(events, of: id).frames)
    }
}

/// The events as frames, pulled by the connection.
private actor EnsembleFrames {
    private let ensemble: EnsembleID
    private var events: AsyncStream<EnsembleEvent>.Iterator

    init(_ events: AsyncStream<EnsembleEvent>, of ensemble: EnsembleID) {
        self.ensemble = ensemble
        self.events = events.makeAsyncIterator()
    }

    nonisolated var frames: AsyncStream<[UInt8]> { AsyncStream { await self.next() } }

    private func next() async -> [UInt8]? {
        var iterator = events
        let event = await iterator.next(isolation: self)
        events = iterator
        return event?.frame(of: ensemble)
    }
}

extension EnsembleTurn {
    fileprivate var numbers: Int { offers.reduce(0) { $0 + $1.x.count } }
}
