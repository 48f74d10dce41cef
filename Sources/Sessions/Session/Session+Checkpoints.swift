extension Session {
    /// O(1): pins what is on disk.
    func createCheckpoint(
        name: String?, isKept: Bool = false, idempotency key: IdempotencyKey?,
        precondition: Precondition
    ) async throws(CallError) -> Outcome<CheckpointNumber> {
        try await exclusively(changing: true) { () async throws(SessionError) in
            if let earlier = try await earlier(key, scope: "checkpoints"),
                let number = CheckpointNumber(earlier.outcome)
            {
                return Outcome(number, isReplay: true)
            }
            try check(precondition)
            try checkNoHookCalled()
            try limits.checkMetadata(name: name)
            try await checkCheckpointCount()
            try limits.checkDiskReserve(of: store)
            let time = now()
            let number = nextCheckpoint
            var batch = Batch()
            batch.checkpoint = CheckpointRecord(
                number: number, name: name, sequence: state.scalars.sequence, createdAt: time,
                status: state.status, isKept: isKept)
            batch.idempotency = idempotencyRecord(
                key, scope: "checkpoints", outcome: "\(number)", at: time)
            try await commit(batch)
            return Outcome(number)
        }
    }

    private func checkCheckpointCount() async throws(SessionError) {
        let count: Int
        if let checkpointCount {
            count = checkpointCount
        } else {
            count = try await read { store throws(StoreError) in
                try await store.checkpointCount(id)
            }
            checkpointCount = count
        }
        guard count < limits.checkpointsMax else {
            throw .overloaded(
                limit: .checkpoints, maximum: limits.checkpointsMax, retryAfterSeconds: 60)
        }
    }

    public func deleteCheckpoint(
        _ number: CheckpointNumber, precondition: Precondition = .none
    ) async throws(CallError) {
        try await exclusively(changing: true) { () async throws(SessionError) in
            _ = try await stored(number)
            try check(precondition)
            var batch = Batch()
            batch.removedCheckpoint = number
            try await commit(batch)
        }
    }

    /// Keeps the session as long as the checkpoint exists, or no longer.
    public func keepCheckpoint(
        _ number: CheckpointNumber, _ isKept: Bool, precondition: Precondition = .none
    ) async throws(CallError) {
        try await exclusively { () async throws(SessionError) in
            _ = try await stored(number)
            try check(precondition)
            var batch = Batch()
            batch.keptCheckpoint = (number, isKept)
            try await commit(batch)
        }
    }

    private func stored(_ number: CheckpointNumber) async throws(SessionError)
        -> StoredCheckpoint
    {
        do {
            return try await store.load(id, checkpoint: number)
        } catch .missing {
            throw .notFound(.checkpoint, id: "\(number)")
        } catch {
            throw SessionError(error, session: id)
        }
    }

    /// The state that a checkpoint pins. O(m n) and up to a snapshot interval of replay.
    private func state(at number: CheckpointNumber) async throws(SessionError) -> SessionState {
        let stored = try await stored(number)
        return try SessionState(
            stored.snapshot, tail: stored.tail, dtype: state.dtype, session: id,
            background: background)
    }

    func checkpointStateDict(_ number: CheckpointNumber) async throws(CallError) -> StateDict {
        try await exclusively { () async throws(SessionError) in
            try await state(at: number).stateDict
        }
    }

    func restore(
        _ number: CheckpointNumber, idempotency key: IdempotencyKey?, precondition: Precondition
    ) async throws(CallError) -> Outcome<Turn> {
        try await exclusively(changing: true) { () async throws(SessionError) in
            let scope = "checkpoints/\(number)/restore"
            if try await earlier(key, scope: scope) != nil { return Outcome(turn, isReplay: true) }
            let former = try await state(at: number)
            try check(precondition)
            try checkNoHookCalled()
            let time = now()
            let change = state.restore(former, at: time)
            try await commit(
                change, idempotencyRecord(key, scope: scope, outcome: "\(number)", at: time))
            return Outcome(turn)
        }
    }

    /// What a fork of a checkpoint starts from. O(m n) and up to a snapshot interval of replay.
    func forkSource(
        _ number: CheckpointNumber
    ) async throws(CallError) -> (state: SessionState, record: SessionRecord) {
        try await exclusively { () async throws(SessionError) in
            (try await state(at: number), record)
        }
    }
}
