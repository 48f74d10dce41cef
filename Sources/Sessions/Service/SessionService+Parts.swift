internal import Telemetry

extension SessionService {
    public func groups(_ id: SessionID) async throws(SessionError) -> [GroupView] {
        try await with(id) { session async throws(Session.Refusal) in
            try await session.groups()
        }
    }

    public func group(
        _ id: SessionID, index: Int
    ) async throws(SessionError) -> (GroupView, EntityTag) {
        try await with(id) { session async throws(Session.Refusal) in
            try await session.group(index)
        }
    }

    /// torch's `add_param_group`; here the run goes on. Between steps only. O(m n).
    public func addGroup(
        _ id: SessionID, _ request: GroupRequest, idempotency key: IdempotencyKey? = nil,
        precondition: Precondition = .none
    ) async throws(SessionError) -> Outcome<GroupView> {
        try await with(id) { session async throws(Session.Refusal) in
            try await session.addGroup(request, key, precondition)
        }
    }

    /// Names a group, freezes it or lets it go: between steps only.
    public func changeGroup(
        _ id: SessionID, index: Int, _ update: GroupUpdate, precondition: Precondition = .none
    ) async throws(SessionError) -> (GroupView, EntityTag) {
        try await with(id) { session async throws(Session.Refusal) in
            try await session.changeGroup(index, update, precondition)
        }
    }

    /// One part of the pending evaluation. Durable when it returns; the turn goes on with the last.
    public func tellShard(
        _ id: SessionID, evaluation number: EvaluationNumber, shard: Int, _ request: TellRequest,
        precondition: Precondition = .none
    ) async throws(SessionError) -> Outcome<Turn> {
        let outcome = try await with(id) { session async throws(Session.Refusal) in
            try await session.tellShard(shard, of: number, request, precondition)
        }
        if outcome.isReplay { metrics.replays.increment() }
        if !outcome.isReplay, outcome.value.evaluation != number { metrics.tells.increment() }
        return outcome
    }

    /// Drops what was accumulated for the pending evaluation: absent again, or zeros.
    public func zeroGradient(
        _ id: SessionID, setToNone: Bool, idempotency key: IdempotencyKey? = nil,
        precondition: Precondition = .none
    ) async throws(SessionError) -> Outcome<Turn> {
        try await with(id) { session async throws(Session.Refusal) in
            try await session.zeroGradient(setToNone: setToNone, key, precondition)
        }
    }

    /// Gives one shard of the pending evaluation to one worker for a while.
    public func lease(
        _ id: SessionID, evaluation number: EvaluationNumber, worker: String, seconds: Double,
        precondition: Precondition = .none
    ) async throws(SessionError) -> Lease {
        try await with(id) { session async throws(Session.Refusal) in
            try await session.lease(number, worker: worker, seconds: seconds, precondition)
        }
    }
}

// MARK: - Hooks

extension SessionService {
    /// The session's own in the order of their calls, then the operator's.
    public func hooks(_ id: SessionID) async throws(SessionError) -> [Hook] {
        try await with(id) { session async throws(Session.Refusal) in
            try await session.hooks()
        }
    }

    public func hook(_ id: SessionID, hook: String) async throws(SessionError) -> Hook {
        try await with(id) { session async throws(Session.Refusal) in
            try await session.hook(hook)
        }
    }

    public func addHook(
        _ id: SessionID, _ request: HookRequest, idempotency key: IdempotencyKey? = nil,
        precondition: Precondition = .none
    ) async throws(SessionError) -> Outcome<Hook> {
        try await with(id) { session async throws(Session.Refusal) in
            try await session.addHook(request, key, precondition)
        }
    }

    public func removeHook(
        _ id: SessionID, hook: String, precondition: Precondition = .none
    ) async throws(SessionError) {
        try await with(id) { session async throws(Session.Refusal) in
            try await session.removeHook(hook, precondition)
        }
    }

    /// Durable when it returns, and applied once, however often it is called.
    /// - Parameter digest: Of the answer as the client sent it.
    public func answer(
        _ id: SessionID, call number: HookCallNumber, _ answer: HookAnswer, digest: Digest,
        precondition: Precondition = .none
    ) async throws(SessionError) -> Outcome<Turn> {
        try await with(id) { session async throws(Session.Refusal) in
            try await session.answer(number, answer, digest: digest, precondition)
        }
    }

    /// Newest first.
    public func deliveries(
        _ id: SessionID, hook: String, pageSize: Int? = nil, after: PageToken? = nil
    ) async throws(SessionError) -> Page<DeliveryRecord> {
        let size = try check(pageSize: pageSize)
        let isRegistered = try await with(id) { session async throws(Session.Refusal) in
            try await session.isRegistered(hook)
        }
        let page: Page<DeliveryRecord>
        do {
            page = try await store.deliveries(id, hook: hook, pageSize: size, after: after)
        } catch {
            throw SessionError(error, session: id)
        }
        // Messages of a hook that was removed can still be looked at.
        guard isRegistered || !page.items.isEmpty else { throw .notFound(.hook, id: hook) }
        return page
    }

    /// Tries a message again, soon, whatever became of it.
    public func redeliver(
        _ id: SessionID, hook: String, delivery: DeliveryID
    ) async throws(SessionError) -> DeliveryRecord {
        do {
            var record = try await store.delivery(id, id: delivery)
            guard record.hook == hook else { throw StoreError.missing }
            record.status = .pending
            record.attempts = 0
            record.nextAttemptAt = now()
            try await store.update(record)
            hooking.wake()
            return record
        } catch StoreError.missing {
            throw .notFound(.delivery, id: delivery)
        } catch let error as StoreError {
            throw SessionError(error, session: id)
        } catch {
            throw .storageFailed("\(error)")
        }
    }
}
