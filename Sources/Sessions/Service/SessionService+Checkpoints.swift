extension SessionService {
    public func createCheckpoint(
        _ id: SessionID, name: String? = nil, isKept: Bool = false,
        idempotency key: IdempotencyKey? = nil,
        precondition: Precondition = .none
    ) async throws(SessionError) -> Outcome<CheckpointView> {
        let outcome = try await withSession(id) {
            try await $0.createCheckpoint(
                name: name, isKept: isKept, idempotency: key, precondition: precondition)
        }
        let view = try await checkpoint(id, number: outcome.value)
        return Outcome(view, isReplay: outcome.isReplay)
    }

    /// Newest first.
    public func checkpoints(
        _ id: SessionID, pageSize: Int? = nil, after: PageToken? = nil
    ) async throws(SessionError) -> Page<CheckpointRecord> {
        let size = try checkedPageSize(pageSize)
        return try await read(id) { store throws(StoreError) in
            try await store.checkpoints(id, pageSize: size, after: after)
        }
    }

    public func checkpoint(
        _ id: SessionID, number: CheckpointNumber
    ) async throws(SessionError) -> CheckpointView {
        let page = try await read(id) { store throws(StoreError) in
            try await store.checkpoints(
                id, pageSize: 1, after: PageToken(below: Int64(clamping: number) + 1))
        }
        guard let found = page.items.first, found.number == number else {
            throw .notFound(.checkpoint, id: "\(number)")
        }
        return CheckpointView(session: id, record: found)
    }

    public func checkpointStateDict(
        _ id: SessionID, number: CheckpointNumber
    ) async throws(SessionError) -> StateDict {
        try await withSecondState(of: id) { () async throws(SessionError) in
            try await withSession(id) { try await $0.checkpointStateDict(number) }
        }
    }

    /// Takes the session back to the checkpoint. Evaluation numbers continue from their present
    /// one.
    public func restore(
        _ id: SessionID, checkpoint number: CheckpointNumber,
        idempotency key: IdempotencyKey? = nil, precondition: Precondition = .none
    ) async throws(SessionError) -> Outcome<Turn> {
        try await withSecondState(of: id) { () async throws(SessionError) in
            try await withSession(id) {
                try await $0.restore(number, idempotency: key, precondition: precondition)
            }
        }
    }
}
