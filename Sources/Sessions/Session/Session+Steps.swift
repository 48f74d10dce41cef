/// What a tell came to, behind a reference: it is handed up through some asynchronous functions,
/// each of which would have room for a copy.
final class Told: Sendable {
    let outcome: Outcome<Turn>

    init(_ outcome: Outcome<Turn>) { self.outcome = outcome }
}

extension Session {
    func beginStep(
        _ request: StepRequest, _ key: IdempotencyKey?, _ precondition: Precondition
    ) async throws(Refusal) -> Outcome<Turn> {
        try await exclusively { () async throws(SessionError) in
            if let earlier = try await earlier(key, scope: "steps") {
                guard let number = StepNumber(earlier.outcome), number <= turn.step else {
                    throw .stepUndone(StepNumber(earlier.outcome) ?? 0)
                }
                return Outcome(turn, isReplay: true)
            }
            try check(precondition)
            try checkIdle()
            try Sessions.check(shards: request.shards, limits)
            try await adoptServerHooks()
            let time = now()
            let change = state.beginStep(request, at: time)
            let record = record(
                key, scope: "steps", outcome: "\(state.scalars.step)", at: time)
            try await commit(change, record)
            return Outcome(turn)
        }
    }

    /// What nearly every request does, so it is written out: each asynchronous function between the
    /// caller and the store keeps a frame on the heap, of all that it holds while it waits.
    func tell(
        _ number: EvaluationNumber, _ request: TellRequest, _ precondition: Precondition
    ) async throws(Refusal) -> Told {
        if isBusy { try await waitInLine() } else { isBusy = true }
        defer { passOn() }
        try checkNotRetired()
        do throws(SessionError) {
            guard number == state.pendingEvaluation else {
                return Told(try await tellAgain(number, request))
            }
            let result = try pendingResult(number, request, precondition)
            let isStaged = request.received?.isStaged ?? false
            if !isStaged, result.payload.count < Octets.longMin {
                let commitment = commitment(telling: result, by: request)
                try await commit(commitment)
                goOn(hasPosted: !commitment.batch.deliveries.isEmpty)
            } else {
                try await tellLong(result, by: request)
            }
            return Told(Outcome(turn))
        } catch {
            throw .refused(error)
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
        Commitment(withSnapshotIfDue(batch(of: change(telling: result, by: request))))
    }

    private func change(
        telling result: EvaluationResult, by request: TellRequest
    ) -> SessionState.Change {
        let isAhead = pointDigest?.evaluation == state.pendingEvaluation
        return state.tell(
            result, digest: request.digest, pointDigest: isAhead ? pointDigest?.value : nil,
            at: now())
    }

    /// A long gradient goes to the disk while it comes, or while its step is worked out; it counts
    /// when the change that names it is committed.
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

    /// An evaluation that isn't pending: told before, closed, or not reached yet.
    private func tellAgain(
        _ number: EvaluationNumber, _ request: TellRequest
    ) async throws(SessionError) -> Outcome<Turn> {
        try checkReached(number)
        let told: JournalEntry?
        do {
            told = try await store.toldEntry(id, evaluation: number)
        } catch {
            throw SessionError(error, session: id)
        }
        guard let told else { throw .evaluationClosed(number, pending: state.pendingEvaluation) }
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

    func stop(
        _ key: IdempotencyKey?, _ precondition: Precondition
    ) async throws(Refusal) -> Outcome<Turn> {
        try await exclusively { () async throws(SessionError) in
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
            let record = record(key, scope: "stop", outcome: "\(state.scalars.step)", at: time)
            try await commit(change, record)
            return Outcome(turn)
        }
    }

    func step(_ number: StepNumber) async throws(Refusal) -> StepView {
        try await exclusively { () async throws(SessionError) in
            let found: StepRecord?
            do throws(StoreError) {
                found = try await store.step(id, number: number)
            } catch {
                throw SessionError(error, session: id)
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
