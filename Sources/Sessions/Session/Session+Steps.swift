internal import Telemetry

/// The outcome of a tell. A reference, so that the asynchronous functions that return it hold no
/// copies of a turn.
final class TellOutcome: Sendable {
    let outcome: Outcome<Turn>

    init(_ outcome: Outcome<Turn>) { self.outcome = outcome }
}

extension Session {
    public func beginStep(
        _ request: StepRequest = StepRequest(), idempotency key: IdempotencyKey? = nil,
        precondition: Precondition = .none
    ) async throws(CallError) -> Outcome<Turn> {
        try await exclusively(changing: true) { () async throws(SessionError) in
            if let earlier = try await earlier(key, scope: "steps") {
                guard let number = StepNumber(earlier.outcome), number <= turn.step else {
                    throw .stepUndone(StepNumber(earlier.outcome) ?? 0)
                }
                return Outcome(turn, isReplay: true)
            }
            try check(precondition)
            try checkIdle()
            try limits.checkShardCount(request.shards)
            if let shards = request.shards {
                try limits.checkHistoryFitsMemory(
                    count: state.layout.count, dtype: state.dtype, options: state.engine.options,
                    shardCount: shards, bounds: state.engine.sessionBounds.footprint)
            }
            try await adoptServerHooks()
            try await checkOutbox()
            let time = now()
            let change = state.beginStep(request, at: time)
            let record = idempotencyRecord(
                key, scope: "steps", outcome: "\(state.scalars.step)", at: time)
            try await commit(change, record)
            return Outcome(turn)
        }
    }

    /// Durable when it returns, and applied exactly once, however often it is called.
    func tell(
        _ number: EvaluationNumber, _ request: TellRequest, precondition: Precondition
    ) async throws(CallError) -> TellOutcome {
        try await exclusively(changing: true) { () async throws(SessionError) in
            try limits.checkReason(request)
            guard number == state.pendingEvaluation else {
                return TellOutcome(try await tellAgain(number, request))
            }
            let result = try pendingResult(number, request, precondition)
            let isStaged = request.received?.isStaged ?? false
            if isStaged || result.payload.count >= Octets.longMin {
                try await tellLong(result, by: request)
            } else {
                try await commit(commitment(telling: result, by: request))
            }
            return TellOutcome(Outcome(turn))
        }
    }

    /// The result of the pending evaluation, in the session's precision, if it may be told now.
    @inline(never)
    private func pendingResult(
        _ number: EvaluationNumber, _ request: TellRequest, _ precondition: Precondition
    ) throws(SessionError) -> EvaluationResult {
        let result: EvaluationResult
        switch request {
        case .evaluated(let loss, let gradient):
            result = .evaluated(loss: loss, gradient: try state.gradient(gradient))
        case .failed(let reason):
            result = .failed(reason: reason)
        }
        try check(precondition)
        try checkNoHookCalled()
        if let count = state.shards.count {
            throw .evaluationInShards(number, count: count)
        }
        return result
    }

    @inline(never)
    private func commitment(telling result: EvaluationResult, by request: TellRequest) -> Commitment
    {
        commitment(of: change(telling: result, by: request))
    }

    private func change(
        telling result: EvaluationResult, by request: TellRequest
    ) -> SessionState.Change {
        let isKnown = pointDigest?.evaluation == state.pendingEvaluation
        let began = ContinuousClock.now
        defer { metrics.engineSeconds.observe(ContinuousClock.now - began) }
        return state.tell(
            result, digest: request.digest, pointDigest: isKnown ? pointDigest?.value : nil,
            at: now())
    }

    /// A long gradient is written while it arrives, or while its step is computed. It has no effect
    /// until the change that names it is committed.
    @inline(never)
    private func tellLong(
        _ result: EvaluationResult, by request: TellRequest
    ) async throws(SessionError) {
        async let staged = staged(result.payload, request.received)
        var change = change(telling: result, by: request)
        switch await staged {
        case .success(let payload): change.entry.payload = payload
        case .failure(let error):
            retire()
            throw SessionError(error, session: id)
        }
        try await commit(change)
    }

    @concurrent private nonisolated func staged(
        _ payload: Octets, _ received: ReceivedVector?
    ) async -> Result<Octets, StoreError> {
        if let staged = await received?.staged() { return staged }
        return await store.stage(payload)
    }

    func checkReached(_ number: EvaluationNumber) throws(SessionError) {
        guard number >= 1, number <= state.scalars.evaluationsAsked else {
            throw .evaluationNotReached(number, pending: state.pendingEvaluation)
        }
    }

    /// The entry of an evaluation that was told before. Throws if it was closed unanswered, or has
    /// not been asked for.
    func formerEntry(_ number: EvaluationNumber) async throws(SessionError) -> JournalEntry {
        try checkReached(number)
        let entry = try await read { store throws(StoreError) in
            try await store.toldEntry(id, evaluation: number)
        }
        guard let entry else { throw .evaluationClosed(number, pending: state.pendingEvaluation) }
        return entry
    }

    private func tellAgain(
        _ number: EvaluationNumber, _ request: TellRequest
    ) async throws(SessionError) -> Outcome<Turn> {
        let told = try await formerEntry(number)
        let results: [EvaluationResult]
        switch request {
        case .evaluated(let loss, let gradient):
            results = try state.pastGradients(gradient).map {
                .evaluated(loss: loss, gradient: Vector($0, as: state.dtype))
            }
        case .failed(let reason): results = [.failed(reason: reason)]
        }
        guard results.contains(where: { told.resultDigest == $0.digest })
        else { throw .alreadyTold(number) }
        return Outcome(turn, isReplay: true)
    }

    /// Ends the running step at the best finite point it has seen.
    public func stop(
        idempotency key: IdempotencyKey? = nil, precondition: Precondition = .none
    ) async throws(CallError) -> Outcome<Turn> {
        try await exclusively(changing: true) { () async throws(SessionError) in
            if try await earlier(key, scope: "stop") != nil {
                return Outcome(turn, isReplay: true)
            }
            try check(precondition)
            let time = now()
            let change: SessionState.Change
            if case .beginStep = state.scalars.hooks.call?.operation {
                change = state.abortHooked(at: time)
            } else {
                try checkNoHookCalled()
                guard state.phase != .idle else { throw .noStepRunning }
                change = state.stop(at: time)
            }
            let record = idempotencyRecord(
                key, scope: "stop", outcome: "\(state.scalars.step)", at: time)
            try await commit(change, record)
            return Outcome(turn)
        }
    }

    public func step(_ number: StepNumber) async throws(CallError) -> StepView {
        try await exclusively { () async throws(SessionError) in
            let found = try await read { store throws(StoreError) in
                try await store.step(id, number: number)
            }
            if let found {
                return StepView(number: number, record: found, startedAt: found.startedAt)
            }
            guard state.isInStep, number == state.scalars.step else {
                throw .notFound(.step, id: "\(number)")
            }
            return StepView(
                number: number, record: nil, startedAt: state.scalars.stepStartedAt)
        }
    }
}
