internal import Telemetry

internal import struct Foundation.Date

// One change after the other, each on disk before it is shown.

extension Session {
    /// Runs `body` when every change before it has been committed.
    ///
    /// A body that changes the session must say so: where too many writes wait for the disk, it is
    /// refused before it has changed anything.
    ///
    /// Inlined, as `commit` is: each asynchronous function between a caller and the store keeps a
    /// frame on the heap while the store writes, and every tell goes through both.
    /// - Parameter isLimited: False for the session's own work, which a full queue must not lose.
    @inline(__always)
    func exclusively<Value: Sendable>(
        changing: Bool = false, isLimited: Bool = true,
        _ body: () async throws(SessionError) -> Value
    ) async throws(CallError) -> Value {
        if isBusy { try await waitInLine(isLimited: isLimited) } else { isBusy = true }
        defer { passOn() }
        try checkNotRetired()
        do throws(SessionError) {
            if changing { try checkAdmission() }
            return try await body()
        } catch {
            retireIfAhead()
            throw .failed(error)
        }
    }

    /// A call that failed has changed nothing, or its commit has retired the session. Should
    /// another have left the state ahead of the turn that is on disk, the session is loaded again.
    @inline(never)
    private func retireIfAhead() {
        if state.scalars.sequence != turn.tag.sequence { retire() }
    }

    /// Changes the state and fails without a commit, which no call does, for tests.
    package func failAfterChange() async throws(CallError) {
        try await exclusively(changing: true) { () async throws(SessionError) -> Void in
            _ = state.created(at: now())
            throw .noStepRunning
        }
    }

    private func checkAdmission() throws(SessionError) {
        do {
            try store.admitWrite()
        } catch {
            throw SessionError(error, session: id)
        }
    }

    /// Returns when the changes before the caller's have been committed. The caller must end with
    /// `passOn`.
    private func waitInLine(isLimited: Bool) async throws(CallError) {
        guard !isLimited || waitingCalls.count < limits.queuedRequestsMax else {
            throw .failed(
                .overloaded(
                    limit: .queuedRequests, maximum: limits.queuedRequestsMax,
                    retryAfterSeconds: 1))
        }
        await withCheckedContinuation { waitingCalls.append($0) }
    }

    /// Resumes the next waiting call.
    private func passOn() {
        if waitingCalls.isEmpty { isBusy = false } else { waitingCalls.removeFirst().resume() }
    }

    private func checkNotRetired() throws(CallError) {
        if isRetired { throw .retired }
    }

    /// Occupies the session while `body` runs, as a slow change does, for tests.
    package func occupy(_ body: @Sendable () async -> Void) async throws(CallError) {
        try await exclusively { () async throws(SessionError) in await body() }
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

    /// Shows a change that is on disk.
    /// - Parameter ids: The identifiers of the snapshot's vectors, if the batch has one.
    @inline(never)
    private func committed(_ commitment: Commitment, _ ids: [VectorName: VectorID]) {
        let batch = commitment.batch
        if batch.snapshot != nil {
            state.storedPairs = StateCodec.pairs(in: ids)
            state.storedBounds = StateCodec.bounds(in: ids)
            journal = JournalLength()
        } else {
            journal = journal + JournalLength(batch.entries)
        }
        if let metadata = batch.metadata {
            record.apply(metadata)
            if let memoryBytes = metadata.memoryBytes { resized(self, memoryBytes) }
        }
        if let checkpoint = batch.checkpoint {
            nextCheckpoint = checkpoint.number + 1
            checkpointCount = checkpointCount.map { $0 + 1 }
        }
        if batch.removedCheckpoint != nil { checkpointCount = checkpointCount.map { $0 - 1 } }
        if let step = batch.step {
            metrics.stepSeconds.observe(step.endedAt.timeIntervalSince(step.startedAt))
        }
        if let last = batch.entries.last { updatedAt = last.time }
        enterInCatalog(batch)
        publish(batch)
        watchers.notify(id) {
            .changed(
                SessionChange(
                    turn: turn, loss: state.loss, point: state.engine.parameterVector,
                    updatedAt: updatedAt, traces: batch.entries.compactMap(\.trace)))
        }
        if !batch.deliveries.isEmpty {
            deliveriesAtMost = deliveriesAtMost.map { $0 + batch.deliveries.count }
            hooking.wake()
        }
        if hookTimer != nil || state.scalars.hooks.isCalling { armHookDeadline() }
        if let outcome = commitment.outcome { resumeHooked(with: outcome) }
    }

    private func enterInCatalog(_ batch: Batch) {
        if batch.metadata != nil {
            catalog.note(summary, of: tenant)
        } else if !batch.entries.isEmpty {
            catalog.note(
                id, of: tenant,
                {
                    $0.updated(
                        state.status, state.progress, at: updatedAt,
                        sequence: state.scalars.sequence)
                }, orElse: { summary })
        }
    }

    private var summary: SessionSummary {
        SessionSummary(
            record: record, status: state.status, progress: state.progress, ensemble: ensemble,
            updatedAt: updatedAt, sequence: state.scalars.sequence)
    }

    private func isSnapshotDue(after journal: JournalLength) -> Bool {
        journal.isDue(state.snapshotBytes, entriesMax: snapshotInterval)
            || BackgroundWork.isLongReplay(
                journal.entries, count: state.layout.count,
                historySize: state.engine.options.historySize)
    }

    private func publish(_ batch: Batch) {
        turn = turn(of: &state)
        if turn.phase != .idle { wakeTurnWaiters() }
        digestPoint()
        publish(events(of: batch))
    }

    private func events(of batch: Batch) -> [SessionEvent] {
        var events = batch.entries.compactMap(\.trace).map(SessionEvent.evaluation)
        if let step = batch.step { events.append(.step(step)) }
        return events
    }

    func publish(_ events: @autoclosure () -> [SessionEvent]) {
        feed.publish(events().map { .session(id, $0) }, of: record)
        guard !subscribers.isEmpty else { return }
        let events = events()
        for event in events {
            for (number, subscriber) in subscribers {
                if case .dropped = subscriber.yield(event) {
                    // The stream ends rather than have a gap. Last-Event-ID resumes it.
                    subscriber.finish()
                    subscribers[number] = nil
                }
            }
        }
    }

    /// Takes the state `inout`: a method of an actor's stored value would be called on a copy, and
    /// this value has some fifty references to retain.
    private func turn(of state: inout SessionState) -> Turn {
        state.turn(of: id, metadataVersion: record.metadataVersion)
    }

    /// Begins to compute the digest that the pending evaluation's entry will need.
    private func digestPoint() {
        let number = turn.evaluation
        if pointDigest?.evaluation == number { return }
        let isLong = turn.x.count * turn.x.dtype.size >= BackgroundWork.bytesMin
        pointDigest =
            isLong
            ? number.map { PointDigest(of: turn.x, evaluation: $0, background: background) } : nil
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
    /// Whether the entry alone leads from one state to the next. If not, it comes with a snapshot.
    var isReplayable: Bool {
        switch self {
        case .stepBegun, .told, .failed, .stopped, .optionsChanged, .shardTold, .shardsDropped,
            .leased:
            true
        case .created, .parametersReplaced, .stateDictLoaded, .restored, .groupAdded,
            .groupChanged, .hooksChanged, .hookCalled, .hookAnswered, .boundsChanged:
            false
        }
    }
}

extension JournalEntry.Kind {
    /// Whether it may change the parameters or the options.
    fileprivate var canChangeRecord: Bool {
        !isReplayable || self == .optionsChanged || self == .stepBegun
    }
}
