internal import struct Foundation.Date
internal import Parallel

/// One session in memory: its state, and the journal that the state follows from.
///
/// Changes are applied one after the other. Each applies an event to the state, commits the event's
/// journal entry, and only then shows the new turn; readers see the former turn until then. If a
/// commit fails, the state in memory is ahead of the disk: the object is retired, and the next use
/// loads the session again.
///
/// Its methods are called through `SessionService.withSession`.
public actor Session {
    let id: SessionID
    let tenant: String
    let tenants: TenantLedger
    let watchers: SessionWatchers
    let catalog: SessionCatalog
    let feed: SessionFeed
    /// The ensemble that it is a member of.
    let ensemble: EnsembleID?
    let store: any Store
    let limits: Limits
    let now: @Sendable () -> Date
    let hooking: HookEnvironment
    let background: BackgroundWork
    let metrics: SessionMetrics
    /// A heavy session's own executor; others run on Swift's.
    private let executor: BackgroundSerialExecutor?
    private let ordinary = Ordinary()
    /// Called when the memory that the session may come to need has changed.
    let resized: @Sendable (Session, Int) -> Void

    var record: SessionRecord
    var state: SessionState
    var nextCheckpoint: CheckpointNumber
    /// How many checkpoints there are; nil until one is made, when they are counted.
    var checkpointCount: Int?
    /// How many messages wait for webhooks at most; nil until they are counted.
    var deliveriesAtMost: Int?
    var updatedAt: Date
    /// The length of the journal since the newest snapshot, which a load would replay.
    var journal: JournalLength

    /// The turn that is on disk, which readers see.
    var turn: Turn
    /// The digest of the trial point in `turn`, if that is long.
    var pointDigest: PointDigest?
    let snapshotInterval: Int
    var isRetired = false
    /// Whether an eviction waits for changes under way.
    var isBeingEvicted = false
    /// Whether a change is being applied; others wait in `waitingCalls`.
    var isBusy = false
    var waitingCalls: [CheckedContinuation<Void, Never>] = []
    var turnWaiters: [Int: CheckedContinuation<Void, Never>] = [:]
    var subscribers: [Int: AsyncStream<SessionEvent>.Continuation] = [:]
    var nextWaiter = 0
    /// The expiry that the subscribers were told of.
    var warnedOfExpiry: Date?
    /// Callers of operations that hooks delay.
    var hookedWaiters: [CheckedContinuation<HookedEnd?, Never>] = []
    /// Applies the default of the pending hook call at its deadline.
    var hookTimer: Task<Void, Never>?

    /// Why a call did not succeed.
    public enum CallError: Error {
        /// The object was evicted, or no longer matches the disk: call again on a fresh one, as
        /// `SessionService.withSession` does.
        case retired
        case failed(SessionError)
    }

    init(
        record: SessionRecord, state: SessionState, ensemble: EnsembleID?,
        nextCheckpoint: CheckpointNumber, updatedAt: Date, journal: JournalLength,
        store: any Store, limits: Limits, hooking: HookEnvironment, background: BackgroundWork,
        metrics: SessionMetrics, tenants: TenantLedger, watchers: SessionWatchers,
        catalog: SessionCatalog, feed: SessionFeed,
        now: @escaping @Sendable () -> Date,
        resized: @escaping @Sendable (Session, Int) -> Void
    ) {
        id = record.id
        tenant = record.tenant
        self.tenants = tenants
        self.watchers = watchers
        self.catalog = catalog
        self.feed = feed
        self.ensemble = ensemble
        self.record = record
        self.state = state
        self.nextCheckpoint = nextCheckpoint
        self.updatedAt = updatedAt
        self.journal = journal
        self.store = store
        self.limits = limits
        snapshotInterval = JournalLength.interval(
            of: record.id, entriesMax: limits.snapshotIntervalEvaluations)
        self.hooking = hooking
        self.now = now
        self.background = background
        self.metrics = metrics
        executor = background.executor(
            of: record.id, count: state.layout.count, historySize: state.engine.options.historySize)
        self.resized = resized
        turn = state.turn(of: record.id, metadataVersion: record.metadataVersion)
    }

    public nonisolated var unownedExecutor: UnownedSerialExecutor {
        // Sound: background executors live as long as the process, the other as long as the
        // session.
        unsafe executor?.asUnownedSerialExecutor() ?? ordinary.unownedExecutor
    }

    /// Provides the default executor to an actor that names its own.
    private actor Ordinary {}

    /// Whether a caller waits on this object, so that it should not be evicted.
    var isInUse: Bool {
        isBusy || !turnWaiters.isEmpty || !subscribers.isEmpty || !hookedWaiters.isEmpty
    }
}
