internal import Telemetry

extension SessionService {
    public func view(_ id: SessionID) async throws(SessionError) -> SessionView {
        let view = try await with(id) { session async throws(Session.Refusal) in
            try await session.view()
        }
        return try await completed(view)
    }

    /// With what the store alone knows; it need not be of the same moment.
    private func completed(_ view: SessionView) async throws(SessionError) -> SessionView {
        var view = view
        do throws(StoreError) {
            view.diskBytes = try await store.diskBytes(view.record.id)
        } catch {
            throw SessionError(error, session: view.record.id)
        }
        return view
    }

    public func update(
        _ id: SessionID, _ request: UpdateRequest, precondition: Precondition = .none
    ) async throws(SessionError) -> SessionView {
        let view = try await with(id) { session async throws(Session.Refusal) in
            try await session.update(request, precondition)
        }
        return try await completed(view)
    }

    public func delete(
        _ id: SessionID, precondition: Precondition = .none
    ) async throws(SessionError) {
        try await with(id) { session async throws(Session.Refusal) in
            try await session.delete(precondition)
            forget(id, session)
        }
    }

    public func beginStep(
        _ id: SessionID, _ request: StepRequest = StepRequest(),
        idempotency key: IdempotencyKey? = nil, precondition: Precondition = .none
    ) async throws(SessionError) -> Outcome<Turn> {
        try await with(id) { session async throws(Session.Refusal) in
            try await session.beginStep(request, key, precondition)
        }
    }

    public func step(
        _ id: SessionID, number: StepNumber
    ) async throws(SessionError) -> StepView {
        try await with(id) { session async throws(Session.Refusal) in
            try await session.step(number)
        }
    }

    /// Where the session stands. With `waitSeconds`, an idle session is waited for until a step
    /// begins or the time is over.
    public func turn(
        _ id: SessionID, waitSeconds: Double? = nil
    ) async throws(SessionError) -> Turn {
        let first = try await with(id) { session async throws(Session.Refusal) in
            await session.turn
        }
        guard let waitSeconds, waitSeconds > 0, first.phase == .idle else { return first }
        try enterWait()
        defer { leaveWait() }
        let deadline = ContinuousClock.now + .seconds(min(waitSeconds, limits.waitSecondsMax))
        var turn = first
        while turn.phase == .idle, ContinuousClock.now < deadline, !Task.isCancelled {
            turn = try await with(id) { session async throws(Session.Refusal) in
                await withTaskGroup(of: Void.self) { group in
                    group.addTask { await session.waitForStep() }
                    group.addTask { try? await Task.sleep(until: deadline) }
                    await group.next()
                    group.cancelAll()
                }
                return await session.turn
            }
        }
        return turn
    }

    /// Durable when it returns, and applied exactly once, however often it is called.
    public func tell(
        _ id: SessionID, evaluation number: EvaluationNumber, _ request: TellRequest,
        precondition: Precondition = .none
    ) async throws(SessionError) -> Outcome<Turn> {
        let told = try await with(id) { session async throws(Session.Refusal) in
            try await session.tell(number, request, precondition)
        }
        let outcome = told.outcome
        (outcome.isReplay ? metrics.replays : metrics.tells).increment()
        return outcome
    }

    /// Ends the running step at the best finite point it has seen.
    public func stop(
        _ id: SessionID, idempotency key: IdempotencyKey? = nil,
        precondition: Precondition = .none
    ) async throws(SessionError) -> Outcome<Turn> {
        try await with(id) { session async throws(Session.Refusal) in
            try await session.stop(key, precondition)
        }
    }

    public func parameters(_ id: SessionID) async throws(SessionError) -> ParametersView {
        try await with(id) { session async throws(Session.Refusal) in
            try await session.parameters()
        }
    }

    /// Between steps only; the history stays, as when a parameter's data is written in torch.
    public func setParameters(
        _ id: SessionID, _ input: VectorInput, precondition: Precondition = .none
    ) async throws(SessionError) -> ParametersView {
        try await with(id) { session async throws(Session.Refusal) in
            try await session.setParameters(input, precondition)
        }
    }

    public func stateDict(
        _ id: SessionID
    ) async throws(SessionError) -> (StateDict, EntityTag) {
        try await with(id) { session async throws(Session.Refusal) in
            try await session.stateDict()
        }
    }

    /// Between steps only. O(m^2 n).
    public func loadStateDict(
        _ id: SessionID, _ dict: StateDict, matching: StateDictMatching = .position,
        precondition: Precondition = .none
    ) async throws(SessionError) -> (StateDict, EntityTag) {
        try await with(id) { session async throws(Session.Refusal) in
            try await session.loadStateDict(dict, matching: matching, precondition)
        }
    }
}
