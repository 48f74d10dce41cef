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
    let store: any Store
    let limits: Limits
    let now: @Sendable () -> Date
    let hooking: HookEnvironment
    /// Where it runs: a heavy one in a lane, others wherever actors run.
    private let lane: BackgroundLane?
    private let ordinary = Ordinary()
    /// Told when the memory that the session may come to need is another.
    private let resized: @Sendable (Session, Int) -> Void

    private(set) var record: SessionRecord
    var state: SessionState
    private(set) var nextCheckpoint: CheckpointNumber
    private(set) var updatedAt: Date
    /// What would be replayed since the newest snapshot.
    private var journal: JournalLength

    /// What is on disk, and may be seen.
    private(set) var turn: Turn
    /// Of the trial point in `turn`, if that is long.
    private(set) var pointDigest: PointDigest?
    private let snapshotInterval: Int
    private var isRetired = false
    /// Whether it is about to leave memory because nobody uses it.
    private var isLeaving = false
    var isBusy = false
    private var queue: [CheckedContinuation<Void, Never>] = []
    private var turnWaiters: [Int: CheckedContinuation<Void, Never>] = [:]
    private var subscribers: [Int: AsyncStream<SessionEvent>.Continuation] = [:]
    private var nextWaiter = 0
    /// Who waits for an operation that hooks delay.
    var hookedWaiters: [CheckedContinuation<HookedOutcome?, Never>] = []
    /// Applies the default of the call that waits, when its time comes.
    var hookTimer: Task<Void, Never>?

    /// Why a call did not succeed.
    public enum CallError: Error {
        /// The object was evicted, or no longer matches the disk: call again on a fresh one, as
        /// `SessionService.withSession` does.
        case retired
        case failed(SessionError)
    }

    init(
        record: SessionRecord, state: SessionState, nextCheckpoint: CheckpointNumber,
        updatedAt: Date, journal: JournalLength, store: any Store, limits: Limits,
        hooking: HookEnvironment = HookEnvironment(), now: @escaping @Sendable () -> Date,
        resized: @escaping @Sendable (Session, Int) -> Void
    ) {
        id = record.id
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
        lane = HeavyWork.lane(
            record.id, count: state.layout.count, historySize: state.engine.options.historySize)
        self.resized = resized
        turn = state.turn(of: record.id, metadataVersion: record.metadataVersion)
    }

    public nonisolated var unownedExecutor: UnownedSerialExecutor {
        // Sound: lanes live for ever, and the other executor as long as the session.
        unsafe lane?.asUnownedSerialExecutor() ?? ordinary.unownedExecutor
    }

    /// Lends its place in the queues to an actor that says itself where it runs.
    private actor Ordinary {}

    /// Whether a caller waits on this object, so that it should not be evicted.
    var isInUse: Bool {
        isBusy || !turnWaiters.isEmpty || !subscribers.isEmpty || !hookedWaiters.isEmpty
    }
}

// MARK: - One at a time

extension Session {
    /// Runs `body` when every change before it has been committed.
    ///
    /// Inlined, as `commit` is: each asynchronous function between a caller and the store keeps a
    /// frame on the heap while the store writes, and every tell goes through both.
    @inline(__always)
    func exclusively<Value: Sendable>(
        _ body: () async throws(SessionError) -> Value
    ) async throws(CallError) -> Value {
        if isBusy { try await waitInLine() } else { isBusy = true }
        defer { passOn() }
        try checkNotRetired()
        do throws(SessionError) {
            return try await body()
        } catch {
            throw .failed(error)
        }
    }

    /// Returns when it is the caller's turn, who then says so to `passOn`.
    private func waitInLine() async throws(CallError) {
        guard queue.count < limits.queuedRequestsMax else {
            throw .failed(
                .overloaded(
                    limit: .queuedRequests, maximum: limits.queuedRequestsMax,
                    retryAfterSeconds: 1))
        }
        await withCheckedContinuation { queue.append($0) }
    }

    /// The next may go.
    private func passOn() {
        if queue.isEmpty { isBusy = false } else { queue.removeFirst().resume() }
    }

    private func checkNotRetired() throws(CallError) {
        if isRetired { throw .retired }
    }

    func commit(_ batch: Batch) async throws(SessionError) {
        try await commit(Commitment(withSnapshotIfDue(batch)))
    }

    /// Returns when the batch is on disk and its change is shown.
    @inline(__always)
    func commit(_ commitment: Commitment) async throws(SessionError) {
        do {
            let ids = try await store.commit(commitment.batch, to: id)
            committed(commitment, ids)
        } catch {
            retire()
            throw SessionError(error, session: id)
        }
    }

    @inline(never)
    private func withSnapshotIfDue(_ batch: Batch) -> Batch {
        guard batch.snapshot == nil, !batch.entries.isEmpty,
            isSnapshotDue(after: journal + JournalLength(batch.entries))
        else { return batch }
        var batch = batch
        batch.snapshot = StateCodec.draft(of: state)
        return batch
    }

    /// The batch is on disk; `ids` are those of its vectors.
    @inline(never)
    private func committed(_ commitment: Commitment, _ ids: [VectorName: VectorID]) {
        let batch = commitment.batch
        if batch.snapshot != nil {
            state.storedPairs = StateCodec.pairs(in: ids)
            journal = JournalLength()
        } else {
            journal = journal + JournalLength(batch.entries)
        }
        if let metadata = batch.metadata {
            record.apply(metadata)
            if let memoryBytes = metadata.memoryBytes { resized(self, memoryBytes) }
        }
        if let checkpoint = batch.checkpoint { nextCheckpoint = checkpoint.number + 1 }
        if let last = batch.entries.last { updatedAt = last.time }
        publish(batch)
        if !batch.deliveries.isEmpty { hooking.wake() }
        if hookTimer != nil || state.scalars.hooks.isCalling { armHookDeadline() }
        if let outcome = commitment.outcome { resumeHooked(with: outcome) }
    }

    private func isSnapshotDue(after journal: JournalLength) -> Bool {
        journal.isDue(state.snapshotBytes, entriesMax: snapshotInterval)
            || HeavyWork.isLongReplay(
                journal.entries, count: state.layout.count,
                historySize: state.engine.options.historySize)
    }

    private func publish(_ batch: Batch) {
        turn = turn(of: &state)
        if turn.phase != .idle { wakeTurnWaiters() }
        digestPoint()
        guard !subscribers.isEmpty else { return }
        var events = batch.entries.compactMap(\.trace).map(SessionEvent.evaluation)
        if let step = batch.step { events.append(.step(step)) }
        for event in events {
            for (number, subscriber) in subscribers {
                if case .dropped = subscriber.yield(event) {
                    // Better cut off than shown a stream with a gap: Last-Event-ID resumes it.
                    subscriber.finish()
                    subscribers[number] = nil
                }
            }
        }
    }

    /// Of the state where it is: a method of a value that an object has is given a copy, and this
    /// value has some fifty references.
    private func turn(of state: inout SessionState) -> Turn {
        state.turn(of: id, metadataVersion: record.metadataVersion)
    }

    /// Begins with what the answer to the pending evaluation will need.
    private func digestPoint() {
        let number = turn.evaluation
        if pointDigest?.evaluation == number { return }
        let isLong = turn.x.count * turn.x.dtype.size >= HeavyWork.bytesMin
        pointDigest = isLong ? number.map { PointDigest(of: turn.x, evaluation: $0) } : nil
    }

    func commit(_ change: SessionState.Change, _ idempotency: IdempotencyRecord? = nil)
        async throws(SessionError)
    {
        try await commit(commitment(of: change, idempotency))
    }

    /// What a change writes to the disk.
    func commitment(
        of change: SessionState.Change, _ idempotency: IdempotencyRecord? = nil
    ) -> Commitment {
        var batch = Batch()
        batch.entries = [change.entry]
        batch.step = change.effects.step
        batch.idempotency = idempotency
        batch.deliveries = deliveries(of: change)
        if change.entry.kind.canChangeRecord,
            state.layout.parameters != record.parameters
                || state.memoryBytesEstimate != record.memoryBytes
        {
            batch.metadata = SessionMetadata(
                name: record.name, labels: record.labels, version: record.metadataVersion + 1,
                parameters: state.layout.parameters, memoryBytes: state.memoryBytesEstimate)
        }
        if !change.entry.kind.isReplayable { batch.snapshot = StateCodec.draft(of: state) }
        return Commitment(withSnapshotIfDue(batch), outcome: change.effects.outcome)
    }

    /// Reads from the store.
    func read<Value: Sendable>(
        _ body: (any Store) async throws(StoreError) -> Value
    ) async throws(SessionError) -> Value {
        do {
            return try await body(store)
        } catch {
            throw SessionError(error, session: id)
        }
    }

    func check(_ precondition: Precondition) throws(SessionError) {
        switch precondition {
        case .none, .exists: return
        case .oneOf(let tags):
            guard tags.contains(turn.tag.text) else {
                throw .preconditionFailed(current: turn.tag)
            }
        }
    }

    func checkIdle() throws(SessionError) {
        try checkNoHookCalled()
        guard state.phase == .idle else { throw .stepRunning(state.scalars.step) }
    }

    func checkNoHookCalled() throws(SessionError) {
        guard let call = state.scalars.hooks.call else { return }
        let seconds = max(1, call.deadline.timeIntervalSince(now()).rounded(.up))
        throw .awaitingHook(call.number, retryAfterSeconds: Int(min(seconds, 3600)))
    }
}

/// A batch that is being written. A reference, so that the functions that wait for it hold no
/// copies.
final class Commitment: Sendable {
    let batch: Batch
    /// How an operation ended that hooks delayed; its callers are resumed after the commit.
    let outcome: HookedOutcome?

    init(_ batch: Batch, outcome: HookedOutcome? = nil) {
        self.batch = batch
        self.outcome = outcome
    }
}

extension JournalEntry.Kind {
    /// Whether the entry alone leads from one state to the next; if not, a snapshot goes with it.
    var isReplayable: Bool {
        switch self {
        case .stepBegun, .told, .failed, .stopped, .optionsChanged, .shardTold, .shardsDropped,
            .leased:
            true
        case .created, .parametersReplaced, .stateDictLoaded, .restored, .groupAdded,
            .groupChanged, .hooksChanged, .hookCalled, .hookAnswered:
            false
        }
    }
}

extension JournalEntry.Kind {
    /// Whether the parameters or the options may be others after it.
    fileprivate var canChangeRecord: Bool { !isReplayable || self == .optionsChanged }
}

// MARK: - Repeated POSTs

extension Session {
    /// What a key was used for before, in this scope; nil if it is new.
    func earlier(
        _ key: IdempotencyKey?, scope: String
    ) async throws(SessionError) -> IdempotencyRecord? {
        guard let key else { return nil }
        let found = try await read { store throws(StoreError) in
            try await store.idempotencyRecord(scope: "\(id)/\(scope)", key: key.key)
        }
        if let found, found.requestDigest != key.requestDigest {
            throw .idempotencyKeyReused(key.key)
        }
        return found
    }

    func record(
        _ key: IdempotencyKey?, scope: String, outcome: String, at time: Date
    ) -> IdempotencyRecord? {
        key.map {
            IdempotencyRecord(
                scope: "\(id)/\(scope)", key: $0.key, requestDigest: $0.requestDigest,
                outcome: outcome, createdAt: time)
        }
    }
}

// MARK: - Waiting and leaving

extension Session {
    /// Returns when a step runs, when the session leaves memory, or when the task is cancelled.
    func waitForStep() async {
        if turn.phase != .idle || isRetired || Task.isCancelled { return }
        let waiter = nextWaiter
        nextWaiter += 1
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                if Task.isCancelled {
                    continuation.resume()
                } else {
                    turnWaiters[waiter] = continuation
                }
            }
        } onCancel: {
            Task { await self.cancelWaiter(waiter) }
        }
    }

    private func cancelWaiter(_ waiter: Int) {
        turnWaiters.removeValue(forKey: waiter)?.resume()
    }

    private func wakeTurnWaiters() {
        let waiters = turnWaiters
        turnWaiters = [:]
        for waiter in waiters.values { waiter.resume() }
    }

    /// A stream of what happens from now on; the newest `limit` events are kept for a slow reader,
    /// who is cut off beyond that.
    func subscribe(limit: Int) throws(CallError) -> AsyncStream<SessionEvent> {
        guard !isRetired else { throw .retired }
        let subscriber = nextWaiter
        nextWaiter += 1
        let (stream, continuation) = AsyncStream.makeStream(
            of: SessionEvent.self, bufferingPolicy: .bufferingOldest(limit))
        subscribers[subscriber] = continuation
        continuation.onTermination = { _ in
            Task { await self.unsubscribe(subscriber) }
        }
        return stream
    }

    private func unsubscribe(_ subscriber: Int) {
        subscribers.removeValue(forKey: subscriber)
    }

    /// Leaves memory if nobody uses it; `isForced` does so in any case, once changes under way
    /// have been committed. A snapshot spares the next load the replay. When it is leaving already,
    /// that is waited for: whoever needs the room would take the session for one in use.
    func leave(isForced: Bool) async -> Bool {
        guard isForced || isLeaving || !isInUse else { return false }
        isLeaving = true
        defer { isLeaving = false }
        _ = try? await exclusively { () async throws(SessionError) in
            if journal.entries > 0 {
                var batch = Batch()
                batch.snapshot = StateCodec.draft(of: state)
                try await commit(batch)
            }
            retire()
        }
        return isRetired
    }

    func retire() {
        isRetired = true
        hookTimer?.cancel()
        hookTimer = nil
        resumeHooked(with: nil)
        wakeTurnWaiters()
        let leaving = subscribers
        subscribers = [:]
        for subscriber in leaving.values { subscriber.finish() }
    }
}
