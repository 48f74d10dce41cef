public import Telemetry
internal import Synchronization

public import struct Foundation.Date

/// All sessions: finds them, loads them when they are touched, and lets the idle ones go.
///
/// Only touched sessions are in memory, so that start-up doesn't depend on how many there are.
public final class SessionService: Sendable {
    public let limits: Limits
    let store: any Store
    let now: @Sendable () -> Date
    let hooking: Hooking
    private let resident = Mutex(Resident())
    private let waiters: Atomic<Int> = Atomic(0)
    let metrics: Metrics

    fileprivate struct Resident {
        var slots: [SessionID: Slot] = [:]
        /// Orders uses.
        var clock = 0
        var isShuttingDown = false
    }

    fileprivate struct Slot {
        var session: Session?
        var loading: Task<Loaded, Never>?
        var lastUse: Int
        var lastUsedAt: Date
    }

    fileprivate enum Loaded {
        case session(Session)
        case failed(SessionError)
    }

    struct Metrics: Sendable {
        var tells: Counter
        var replays: Counter
        var loads: Counter
        var resident: Gauge
        var waiters: Gauge
    }

    /// - Parameter now: The time that goes into records; injected, so that tests are repeatable.
    public init(
        store: any Store, limits: Limits = Limits(), metrics: MetricsRegistry = MetricsRegistry(),
        hooking: Hooking = Hooking(), now: @escaping @Sendable () -> Date = { Date() }
    ) {
        self.store = store
        self.limits = limits
        self.hooking = hooking
        self.now = now
        self.metrics = Metrics(
            tells: metrics.counter(
                "lbfgsd_evaluations_total", help: "Evaluations accepted and on disk."),
            replays: metrics.counter(
                "lbfgsd_evaluations_repeated_total",
                help: "Evaluations told again with the same result."),
            loads: metrics.counter(
                "lbfgsd_session_loads_total", help: "Sessions read from the store."),
            resident: metrics.gauge(
                "lbfgsd_sessions_resident", help: "Sessions in memory."),
            waiters: metrics.gauge(
                "lbfgsd_waiters", help: "Long-polls and event streams that wait."))
        metrics.onRender { [weak self] in self?.refreshGauges() }
    }

    private func refreshGauges() {
        metrics.resident.set(Double(resident.withLock { $0.slots.count }))
        metrics.waiters.set(Double(waiters.load(ordering: .relaxed)))
    }
}

// MARK: - Sessions in memory

extension SessionService {
    /// Runs `body` on the session, loading it if need be; once more if it left memory meanwhile.
    func with<Value: Sendable>(
        _ id: SessionID, _ body: (Session) async throws(Session.Refusal) -> Value
    ) async throws(SessionError) -> Value {
        // Each round ends with a session that another caller retired; more than a few in a row
        // means that its commits keep failing.
        for _ in 0..<8 {
            let session = try await session(id)
            do throws(Session.Refusal) {
                return try await body(session)
            } catch {
                switch error {
                case .retired: forget(id, session)
                case .refused(let error):
                    if error.leavesSessionBehind { forget(id, session) }
                    throw error
                }
            }
        }
        throw .storageFailed("session \(id) can't be kept in memory")
    }

    func forget(_ id: SessionID, _ session: Session) {
        resident.withLock { resident in
            if resident.slots[id]?.session === session { resident.slots[id] = nil }
        }
    }

    private func session(_ id: SessionID) async throws(SessionError) -> Session {
        enum Found {
            case session(Session)
            case loading(Task<Loaded, Never>)
            case shuttingDown
        }
        let time = now()
        let found: Found = resident.withLock { resident in
            if resident.isShuttingDown { return .shuttingDown }
            resident.clock += 1
            if var slot = resident.slots[id] {
                slot.lastUse = resident.clock
                slot.lastUsedAt = time
                resident.slots[id] = slot
                if let session = slot.session { return .session(session) }
                if let loading = slot.loading { return .loading(loading) }
            }
            let loading = Task { await self.load(id) }
            resident.slots[id] = Slot(
                session: nil, loading: loading, lastUse: resident.clock, lastUsedAt: time)
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

    private func load(_ id: SessionID) async -> Loaded {
        let loaded: Loaded
        do throws(SessionError) {
            loaded = .session(try await loadFromStore(id))
        } catch {
            loaded = .failed(error)
        }
        let leaving: [(SessionID, Session)] = resident.withLock { resident in
            switch loaded {
            case .session(let session):
                resident.slots[id]?.session = session
                resident.slots[id]?.loading = nil
            case .failed:
                resident.slots[id] = nil
            }
            return resident.overCrowding(limits.residentSessionsMax)
        }
        if !leaving.isEmpty { Task { await self.release(leaving) } }
        return loaded
    }

    private func loadFromStore(_ id: SessionID) async throws(SessionError) -> Session {
        let stored: StoredSession
        do {
            stored = try await store.load(id)
        } catch {
            throw SessionError(error, session: id)
        }
        metrics.loads.increment()
        let record = stored.record
        let state = try await replayed(stored)
        let session = Session(
            record: record, state: state, nextCheckpoint: stored.nextCheckpoint,
            updatedAt: stored.newest.time, journal: JournalLength(stored.tail), store: store,
            limits: limits, hooking: hooking, now: now)
        await session.armHookDeadline()
        return session
    }

    /// Up to a snapshot interval of evaluations, each as long as when it was told.
    private func replayed(_ stored: StoredSession) async throws(SessionError) -> SessionState {
        let record = stored.record
        let bytes = record.parameterCount * record.dtype.size
        guard bytes * max(1, stored.snapshot.vectors.count) >= HeavyWork.bytesMin else {
            return try SessionState(
                stored.snapshot, tail: stored.tail, dtype: record.dtype, session: record.id)
        }
        let replayed: Result<SessionState, SessionError> = await HeavyWork.aside {
            do throws(SessionError) {
                return .success(
                    try SessionState(
                        stored.snapshot, tail: stored.tail, dtype: record.dtype, session: record.id)
                )
            } catch {
                return .failure(error)
            }
        }
        return try replayed.get()
    }

    private func release(_ sessions: [(SessionID, Session)]) async {
        for (id, session) in sessions where await session.leave(isForced: false) {
            forget(id, session)
        }
    }

    /// Lets sessions go that nobody used for `idleSeconds`. To be called now and then.
    public func releaseIdleSessions() async {
        let deadline = now().addingTimeInterval(-limits.idleSeconds)
        let idle: [(SessionID, Session)] = resident.withLock { resident in
            resident.slots.compactMap { id, slot in
                slot.lastUsedAt < deadline ? slot.session.map { (id, $0) } : nil
            }
        }
        await release(idle)
        let horizon = now().addingTimeInterval(-limits.idempotencySeconds)
        try? await store.expireIdempotencyRecords(before: horizon)
        try? await store.expireDeliveries(
            before: now().addingTimeInterval(-limits.deliverySeconds))
    }

    /// Refuses new work, wakes who waits, and takes a snapshot of every session in memory.
    public func shutdown() async {
        let sessions: [(SessionID, Session)] = resident.withLock { resident in
            resident.isShuttingDown = true
            return resident.slots.compactMap { id, slot in slot.session.map { (id, $0) } }
        }
        await withTaskGroup(of: Void.self) { group in
            for (id, session) in sessions {
                group.addTask {
                    if await session.leave(isForced: true) { self.forget(id, session) }
                }
            }
        }
    }
}

extension SessionService.Resident {
    /// The least recently used sessions above the limit, a tenth of it at a time.
    fileprivate func overCrowding(_ maximum: Int) -> [(SessionID, Session)] {
        guard slots.count > maximum else { return [] }
        let count = slots.count - maximum + maximum / 10
        return slots.sorted { $0.value.lastUse < $1.value.lastUse }.prefix(count).compactMap {
            id, slot in slot.session.map { (id, $0) }
        }
    }
}

extension SessionError {
    /// Whether the object that threw this is no longer in step with the disk.
    fileprivate var leavesSessionBehind: Bool {
        switch self {
        case .storageFull, .storageFailed, .shuttingDown, .corrupt: true
        case .notFound(let resource, _): resource == .session
        case .invalid, .stepRunning, .noStepRunning, .alreadyTold, .evaluationNotReached,
            .evaluationClosed, .preconditionFailed, .idempotencyKeyReused, .overloaded,
            .stepUndone, .evaluationInShards, .noShardFree, .awaitingHook, .hookCallClosed,
            .hookCallNotReached, .alreadyAnswered, .aborted:
            false
        }
    }
}

// MARK: - Waiters

extension SessionService {
    func enterWait() throws(SessionError) {
        let count = waiters.add(1, ordering: .relaxed).newValue
        guard count <= limits.waitersMax else {
            leaveWait()
            throw .overloaded(
                limit: "waiters", maximum: limits.waitersMax, retryAfterSeconds: 1)
        }
    }

    func leaveWait() { waiters.subtract(1, ordering: .relaxed) }
}
