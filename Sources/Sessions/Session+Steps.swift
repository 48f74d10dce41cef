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

    func tell(
        _ number: EvaluationNumber, _ request: TellRequest, _ precondition: Precondition
    ) async throws(Refusal) -> Outcome<Turn> {
        try await exclusively { () async throws(SessionError) in
            guard number == state.pendingEvaluation else {
                return try await tellAgain(number, request)
            }
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
            try await commit(try await told(result, by: request))
            return Outcome(turn)
        }
    }

    /// The change that a result makes. A long gradient goes to the disk while it comes, or while
    /// the step is worked out; it counts when the change that names it is committed.
    private func told(
        _ result: EvaluationResult, by request: TellRequest
    ) async throws(SessionError) -> SessionState.Change {
        let isAhead = pointDigest?.evaluation == state.pendingEvaluation
        let point = isAhead ? pointDigest?.value : nil
        let isStaged = request.arrived?.isStaged ?? false
        guard isStaged || result.payload.count >= Octets.longMin else {
            return state.tell(result, digest: request.digest, pointDigest: point, at: now())
        }
        async let staged = staged(result.payload, request.arrived)
        var change = state.tell(result, digest: request.digest, pointDigest: point, at: now())
        switch await staged {
        case .success(let payload): change.entry.payload = payload
        case .failure(let error):
            retire()
            throw SessionError(error, session: id)
        }
        return change
    }

    @concurrent private nonisolated func staged(
        _ payload: Octets, _ arrived: ArrivedVector?
    ) async -> Result<Octets, StoreError> {
        if let staged = await arrived?.staged() { return staged }
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
