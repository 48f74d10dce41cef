extension SessionService {
    public func createCheckpoint(
        _ id: SessionID, name: String? = nil, idempotency key: IdempotencyKey? = nil,
        precondition: Precondition = .none
    ) async throws(SessionError) -> Outcome<CheckpointView> {
        let outcome = try await with(id) { session async throws(Session.Refusal) in
            try await session.createCheckpoint(name: name, key, precondition)
        }
        let view = try await checkpoint(id, number: outcome.value)
        return Outcome(view, isReplay: outcome.isReplay)
    }

    /// Newest first.
    public func checkpoints(
        _ id: SessionID, pageSize: Int? = nil, after: PageToken? = nil
    ) async throws(SessionError) -> Page<CheckpointRecord> {
        let size = try check(pageSize: pageSize)
        do {
            return try await store.checkpoints(id, pageSize: size, after: after)
        } catch {
            throw SessionError(error, session: id)
        }
    }

    public func checkpoint(
        _ id: SessionID, number: CheckpointNumber
    ) async throws(SessionError) -> CheckpointView {
        let page: Page<CheckpointRecord>
        do {
            page = try await store.checkpoints(
                id, pageSize: 1, after: PageToken(below: Int64(clamping: number) + 1))
        } catch {
            throw SessionError(error, session: id)
        }
        guard let found = page.items.first, found.number == number else {
            throw .notFound(.checkpoint, id: "\(number)")
        }
        return CheckpointView(session: id, record: found)
    }

    public func deleteCheckpoint(
        _ id: SessionID, number: CheckpointNumber, precondition: Precondition = .none
    ) async throws(SessionError) {
        try await with(id) { session async throws(Session.Refusal) in
            try await session.deleteCheckpoint(number, precondition)
        }
    }

    public func checkpointStateDict(
        _ id: SessionID, number: CheckpointNumber
    ) async throws(SessionError) -> StateDict {
        try await withSecondState(of: id) { () async throws(SessionError) in
            try await with(id) { session async throws(Session.Refusal) in
                try await session.checkpointStateDict(number)
            }
        }
    }

    /// The same session, back at the checkpoint; evaluation numbers go on from here.
    public func restore(
        _ id: SessionID, checkpoint number: CheckpointNumber,
        idempotency key: IdempotencyKey? = nil, precondition: Precondition = .none
    ) async throws(SessionError) -> Outcome<Turn> {
        try await withSecondState(of: id) { () async throws(SessionError) in
            try await with(id) { session async throws(Session.Refusal) in
                try await session.restore(number, key, precondition)
            }
        }
    }
}
