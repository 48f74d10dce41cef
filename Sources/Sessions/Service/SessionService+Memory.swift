internal import Synchronization
internal import Telemetry

internal import struct Foundation.Date

// Loading sessions into memory, and evicting them.

extension SessionService {
    /// Runs `body` on the session, which is loaded if it is not in memory. If it was evicted before
    /// `body` used it, it is loaded and `body` is called again.
    ///
    /// Inlined where this module calls it; see `Session.exclusively`.
    @inline(__always)
    public func withSession<Value: Sendable>(
        _ id: SessionID, _ body: (Session) async throws -> Value
    ) async throws(SessionError) -> Value {
        // Each round ends with a session that another caller retired. From the second on it is
        // held, so that it is not evicted before it is used: more than a few rounds mean that its
        // commits keep failing.
        var isHeld = false
        defer { if isHeld { resident.withLock { $0.release(id) } } }
        for round in 0..<8 {
            if round == 1 {
                resident.withLock { $0.hold(id) }
                isHeld = true
            }
            let session = if let session = resident(id) { session } else { try await loaded(id) }
            do {
                return try await body(session)
            } catch Session.CallError.retired {
                forget(id, session)
            } catch {
                throw failure(error, of: session)
            }
        }
        throw .storageFailed("session \(id) can't be kept in memory")
    }

    @inline(never)
    private func failure(_ error: any Error, of session: Session) -> SessionError {
        switch error {
        case Session.CallError.failed(let error):
            if error.leavesSessionBehind { forget(session.id, session) }
            return error
        case let error as SessionError: return error
        default: return .storageFailed("\(error)")
        }
    }

    /// Reads what the store has of a session.
    func read<Value: Sendable>(
        _ id: SessionID, _ body: (any Store) async throws(StoreError) -> Value
    ) async throws(SessionError) -> Value {
        do {
            return try await body(store)
        } catch {
            throw SessionError(error, session: id)
        }
    }

    func forget(_ id: SessionID, _ session: Session) {
        resident.withLock { $0.remove(id, session) }
    }

    /// nil if it is not in memory, or the service is shutting down.
    private func resident(_ id: SessionID) -> Session? {
        let time = now()
        return resident.withLock { resident in
            resident.isShuttingDown ? nil : resident.use(id, at: time)?.session
        }
    }

    private func loaded(_ id: SessionID) async throws(SessionError) -> Session {
        enum Found {
            case session(Session)
            case loading(Task<ResidentSessions.Loaded, Never>)
            case shuttingDown
        }
        let time = now()
        let found: Found = resident.withLock { resident in
            if resident.isShuttingDown { return .shuttingDown }
            let slot = resident.use(id, at: time)
            if let session = slot?.session { return .session(session) }
            if let loading = slot?.loading { return .loading(loading) }
            let loading = Task { await self.load(id) }
            resident.begin(id, loading: loading, at: time)
            return .loading(loading)
        }
        switch found {
        case .shuttingDown: throw .shuttingDown
        case .session(let session): return session
        case .loading(let task):
            switch await task.value {
            case .session(let session): return session
            case .failed(let error): throw error
            }
        }
    }

    private func load(_ id: SessionID) async -> ResidentSessions.Loaded {
        let session: Session
        do throws(SessionError) {
            session = try await loadFromStore(id)
        } catch {
            resident.withLock { $0.remove(id) }
            return .failed(error)
        }
        keep(session, replacing: true)
        return .session(session)
    }

    private func loadFromStore(_ id: SessionID) async throws(SessionError) -> Session {
        let summary = try await read(id) { store throws(StoreError) in
            try await store.summary(id)
        }
        let record = summary.record
        try await reserveMemory(record.memoryBytes, for: id, tenant: record.tenant)
        let stored = try await read(id) { store throws(StoreError) in try await store.load(id) }
        metrics.loads.increment()
        return await makeSession(
            stored.record, try await replayed(stored), ensemble: summary.ensemble,
            nextCheckpoint: stored.nextCheckpoint, updatedAt: stored.newest.time,
            journal: JournalLength(stored.tail))
    }

    /// Replays up to a snapshot interval of evaluations, in the background if they are long.
    private func replayed(_ stored: StoredSession) async throws(SessionError) -> SessionState {
        let record = stored.record
        let background = background
        @Sendable func replay() throws(SessionError) -> SessionState {
            try SessionState(
                stored.snapshot, tail: stored.tail, dtype: record.dtype, session: record.id,
                background: background)
        }
        let bytes = record.parameterCount * record.dtype.size
        guard bytes * max(1, stored.snapshot.vectors.count) >= BackgroundWork.bytesMin else {
            return try replay()
        }
        let replayed: Result<SessionState, SessionError> = await background.run {
            do throws(SessionError) {
                return .success(try replay())
            } catch {
                return .failure(error)
            }
        }
        return try replayed.get()
    }

    private func makeSession(
        _ record: SessionRecord, _ state: SessionState, ensemble: EnsembleID? = nil,
        nextCheckpoint: CheckpointNumber, updatedAt: Date, journal: JournalLength
    ) async -> Session {
        let session = Session(
            record: record, state: state, ensemble: ensemble, nextCheckpoint: nextCheckpoint,
            updatedAt: updatedAt, journal: journal, store: store, limits: limits,
            hooking: hooking, background: background, metrics: metrics, tenants: tenants,
            watchers: watchers, catalog: catalog, feed: feed, now: now,
            resized: { [weak self] session, bytes in self?.resized(session, bytes) })
        await session.armHookDeadline()
        return session
    }

    /// Keeps a new session in memory, which was reserved for it.
    func adopt(_ record: SessionRecord, _ state: SessionState) async {
        let session = await makeSession(
            record, state, nextCheckpoint: 1, updatedAt: record.createdAt,
            journal: JournalLength())
        keep(session, replacing: false)
    }

    private func keep(_ session: Session, replacing loading: Bool) {
        let evicted = resident.withLock { resident in
            _ = resident.place(session, replacing: loading)
            let crowd = resident.overCrowding(limits.residentSessionsMax)
            guard crowd.isEmpty else { return crowd }
            return resident.beginClearing(limits.residentBytesMax, except: session.id)
        }
        guard !evicted.isEmpty else { return }
        Task {
            await self.evict(evicted)
            resident.withLock { $0.isClearing = false }
        }
    }
}

// MARK: - Memory budget

extension SessionService {
    /// Reserves memory for a session that is about to be loaded. Those used least recently are
    /// evicted for it. Throws `.memoryFull` when they are in use. A session larger than the budget
    /// is loaded when no other is in memory, or only `companion`. Throws `.quotaReached` when the
    /// tenant's quota does not allow it beside the tenant's sessions in use.
    func reserveMemory(
        _ memoryBytes: Int, for id: SessionID, tenant: String, beside companion: SessionID? = nil
    ) async throws(SessionError) {
        let budget = limits.residentBytesMax
        let quota = tenants.quota(of: tenant).memoryBytesMax
        let needed = ResidentSessions.needed(memoryBytes)
        // Sessions are evicted several at a time, so that not every load has to save one.
        let wanted = max(needed, budget / 32)
        var passedOver: Set<SessionID> = [id]
        if let companion { passedOver.insert(companion) }
        while true {
            var refusal: SessionError?
            let evicted: [(id: SessionID, session: Session)]? = resident.withLock { resident in
                resident.assign(id, to: tenant)
                let used = resident.bytes(of: tenant, except: id)
                if let quota, needed > quota - used {
                    refusal = .quotaReached(
                        .memoryBytes, needed: needed, used: used, maximum: quota)
                    return resident.leastRecentlyUsed(
                        holding: needed - (quota - used), except: passedOver, of: tenant)
                }
                if resident.reserve(needed, for: id, beside: companion, within: budget) {
                    return nil
                }
                return resident.leastRecentlyUsed(holding: wanted, except: passedOver)
            }
            guard let evicted else { return }
            guard !evicted.isEmpty else {
                if let refusal { throw refusal }
                throw .memoryFull(
                    needed: needed, reserved: resident.withLock { $0.bytes }, maximum: budget,
                    retryAfterSeconds: 1)
            }
            await evict(evicted)
            // One that is in use stays, and is not tried again.
            passedOver.formUnion(evicted.map(\.id))
        }
    }

    /// Reserves memory for the state at a checkpoint, beside the session's own, while `body`
    /// computes it.
    func withSecondState<Value: Sendable>(
        of id: SessionID, _ body: () async throws(SessionError) -> Value
    ) async throws(SessionError) -> Value {
        // The session itself is loaded first.
        let (bytes, tenant) = try await withSession(id) {
            (await $0.record.memoryBytes, $0.tenant)
        }
        var generator = SystemRandomNumberGenerator()
        let guest = SessionID.random(using: &generator)
        let begins = now()
        resident.withLock { $0.begin(guest, loading: nil, at: begins) }
        defer { resident.withLock { $0.remove(guest) } }
        try await reserveMemory(bytes, for: guest, tenant: tenant, beside: id)
        return try await body()
    }

    private func resized(_ session: Session, _ memoryBytes: Int) {
        let evicted = resident.withLock { resident in
            resident.resize(session, to: ResidentSessions.needed(memoryBytes))
            let excess = resident.bytes - limits.residentBytesMax
            return excess > 0
                ? resident.leastRecentlyUsed(holding: excess, except: [session.id]) : []
        }
        if !evicted.isEmpty { Task { await self.evict(evicted) } }
    }

    /// Evicts sessions concurrently, so that their snapshots share commits.
    private func evict(_ sessions: [(id: SessionID, session: Session)]) async {
        await withTaskGroup(of: Void.self) { group in
            for (id, session) in sessions {
                group.addTask {
                    if await session.evict(isForced: false) {
                        self.metrics.evictions.increment()
                        self.forget(id, session)
                    }
                }
            }
        }
    }

    /// Evicts sessions that were not used for `idleSeconds`, and expires records. To be called from
    /// time to time.
    public func releaseIdleSessions() async {
        let deadline = now().addingTimeInterval(-limits.idleSeconds)
        await evict(resident.withLock { $0.idle(since: deadline) })
        let horizon = now().addingTimeInterval(-limits.idempotencySeconds)
        try? await store.expireIdempotencyRecords(before: horizon)
        try? await store.expireDeliveries(
            before: now().addingTimeInterval(-limits.deliverySeconds))
    }

    /// Refuses new work, ends all waits, and takes a snapshot of every session in memory.
    public func shutdown() async {
        let sessions = resident.withLock { resident in
            resident.isShuttingDown = true
            return resident.sessions
        }
        feed.end()
        await withTaskGroup(of: Void.self) { group in
            for (id, session) in sessions {
                group.addTask {
                    if await session.evict(isForced: true) { self.forget(id, session) }
                }
            }
        }
    }
}

extension ResidentSessions {
    fileprivate static func needed(_ memoryBytes: Int) -> Int {
        let (sum, overflow) = memoryBytes.addingReportingOverflow(overheadBytes)
        // So that a sum of a few of them can't overflow either.
        return overflow ? Int.max / 4 : min(sum, .max / 4)
    }
}

extension SessionError {
    /// Whether the object that threw this may no longer match the disk.
    fileprivate var leavesSessionBehind: Bool {
        switch self {
        case .storageFull, .storageFailed, .shuttingDown, .corrupt, .replication: true
        case .notFound(let resource, _): resource == .session
        case .invalid, .stepRunning, .noStepRunning, .alreadyTold, .evaluationNotReached,
            .evaluationClosed, .preconditionFailed, .idempotencyKeyReused, .overloaded,
            .quotaReached, .memoryFull, .reserveReached, .stepUndone, .evaluationInShards,
            .noShardFree,
            .awaitingHook,
            .hookCallClosed, .hookCallNotReached, .alreadyAnswered, .aborted:
            false
        }
    }
}
