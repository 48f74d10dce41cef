public import struct Foundation.Date
internal import LBFGS
internal import Synchronization

/// A store in memory, for tests, simulations and temporary services.
///
/// It keeps the whole contract except durability. Each method is a transaction, because an actor's
/// calls do not overlap and each method checks everything before it changes anything.
///
/// It has its own collection, by definition rather than by increments: the contract tests compare
/// the other stores with it.
public actor MemoryStore: Store {
    struct Snapshot {
        var sequence: SequenceNumber
        var formatVersion: Int
        var numericsVersion: Int
        var scalars: [UInt8]
        var vectors: [VectorName: VectorID]
    }

    struct Session {
        var order: Int64
        var record: SessionRecord
        /// In order; a collected payload is empty, and a collected entry isn't there.
        var entries: [JournalEntry]
        var newest: SequenceNumber { entries.last?.sequence ?? 0 }
        var steps: [StepNumber: StepRecord] = [:]
        var snapshots: [Snapshot] = []
        var checkpoints: [CheckpointNumber: CheckpointRecord] = [:]
        var nextCheckpoint: CheckpointNumber = 1
    }

    struct Vector {
        var octets: Octets
        /// The number of snapshots that name it.
        var names: Int
    }

    struct IdempotencyKey: Hashable {
        var scope: String
        var key: String
    }

    private(set) var sessions: [SessionID: Session] = [:]
    let randomSecret: [UInt8] = {
        var generator = SystemRandomNumberGenerator()
        return (0..<16).map { _ in UInt8.random(in: 0...255, using: &generator) }
    }()
    /// Oldest first.
    private(set) var order: [(number: Int64, id: SessionID)] = []
    private var newestOrder: Int64 = 0
    private(set) var vectors: [VectorID: Vector] = [:]
    private var newestVector: VectorID = 0
    private(set) var idempotency: [IdempotencyKey: IdempotencyRecord] = [:]
    /// Oldest first.
    var ensembles: [Ensemble] = []
    var newestEnsemble: Int64 = 0
    /// Oldest first.
    var deliveries: [(number: Int64, record: DeliveryRecord)] = []
    private var newestDelivery: Int64 = 0
    private var isClosed = false
    private var fault: (error: StoreError, writes: Int)?
    private(set) var traceFault: StoreError?
    private let refusals = Mutex(0)

    private let tracePointsMax: Int
    private let keptPerSession: KeptPerSession
    private var keysMade = 0

    public init(
        tracePointsMax: Int = Limits().tracePointsMax, keptPerSession: KeptPerSession = .init()
    ) {
        self.tracePointsMax = tracePointsMax
        self.keptPerSession = keptPerSession
    }

    /// Makes the next writes fail without effect, as a full disk does.
    package func failWrites(_ count: Int, with error: StoreError) {
        fault = count > 0 ? (error, count) : nil
    }

    /// Makes reads of traces fail, until called with nil.
    package func failTraces(with error: StoreError?) { traceFault = error }
    /// Refuses the next writes, as a store does where too much waits for the disk.
    package nonisolated func refuseWrites(_ count: Int) { refusals.withLock { $0 = count } }

    public nonisolated func admitWrite() throws(StoreError) {
        let isRefused = refusals.withLock { count in
            defer { count = max(0, count - 1) }
            return count > 0
        }
        if isRefused { throw .overloaded(.writes, maximum: 0) }
    }
}

// MARK: - Writing

extension MemoryStore {
    public func create(
        _ record: SessionRecord, entry: JournalEntry, snapshot: SnapshotDraft,
        idempotency key: IdempotencyRecord?
    ) throws(StoreError) -> [VectorName: VectorID] {
        try admitWrite()
        try beginWrite()
        try check(key)
        let session = NewSession(record: record, entry: entry, snapshot: snapshot)
        try check(session)
        remember(key)
        return insert(session)
    }

    func check(_ session: NewSession) throws(StoreError) {
        guard sessions[session.record.id] == nil else { throw .exists }
        try checkOrder([session.entry], after: 0)
        try check(session.snapshot, newest: session.entry.sequence)
    }

    /// - Precondition: `check` has passed.
    func insert(_ session: NewSession) -> [VectorName: VectorID] {
        let id = session.record.id
        newestOrder += 1
        sessions[id] = Session(
            order: newestOrder, record: session.record, entries: [session.entry])
        order.append((newestOrder, id))
        return add(session.snapshot, to: id)
    }

    @discardableResult
    public func commit(_ batch: Batch, to id: SessionID) throws(StoreError)
        -> [VectorName: VectorID]
    {
        try beginWrite()
        let session = try session(id)
        try check(batch.idempotency)
        try checkOrder(batch.entries, after: session.newest)
        let newest = session.newest + batch.entries.count
        if let step = batch.step, session.steps[step.number] != nil { throw .exists }
        if let number = batch.removedCheckpoint, session.checkpoints[number] == nil {
            throw .missing
        }
        if let kept = batch.keptCheckpoint, session.checkpoints[kept.number] == nil {
            throw .missing
        }
        if let checkpoint = batch.checkpoint {
            guard checkpoint.number >= session.nextCheckpoint else { throw .exists }
            guard checkpoint.sequence == newest else {
                throw .outOfOrder(expected: newest, got: checkpoint.sequence)
            }
        }
        if let snapshot = batch.snapshot { try check(snapshot, newest: newest) }

        sessions[id]?.entries += batch.entries
        if let step = batch.step { sessions[id]?.steps[step.number] = step }
        if let number = batch.removedCheckpoint {
            sessions[id]?.checkpoints[number] = nil
        }
        if let kept = batch.keptCheckpoint {
            sessions[id]?.checkpoints[kept.number]?.isKept = kept.isKept
        }
        if let checkpoint = batch.checkpoint {
            sessions[id]?.checkpoints[checkpoint.number] = checkpoint
            sessions[id]?.nextCheckpoint = checkpoint.number + 1
        }
        if let metadata = batch.metadata { sessions[id]?.record.apply(metadata) }
        remember(batch.idempotency)
        for delivery in batch.deliveries {
            newestDelivery += 1
            deliveries.append((newestDelivery, delivery))
            if newestDelivery.isMultiple(of: Int64(KeptPerSession.interval)) {
                forgetEndedDeliveries(of: id)
            }
        }
        if let snapshot = batch.snapshot { return add(snapshot, to: id) }
        if batch.removedCheckpoint != nil { collect(id) }
        return [:]
    }

    public func delete(_ id: SessionID) throws(StoreError) {
        try admitWrite()
        try beginWrite()
        let session = try session(id)
        for snapshot in session.snapshots { release(snapshot) }
        sessions[id] = nil
        removeMember(id)
        order.removeAll { $0.id == id }
        deliveries.removeAll { $0.record.session == id }
    }

    public func expireIdempotencyRecords(before date: Date) throws(StoreError) {
        try beginWrite()
        idempotency = idempotency.filter { $0.value.createdAt >= date }
    }

    public func probe() throws(StoreError) { try beginWrite() }

    public func close() { isClosed = true }

    func beginWrite() throws(StoreError) {
        try checkOpen()
        guard let (error, writes) = fault else { return }
        failWrites(writes - 1, with: error)
        throw error
    }

    func checkOpen() throws(StoreError) {
        if isClosed { throw .closed }
    }

    func check(_ record: IdempotencyRecord?) throws(StoreError) {
        guard let record else { return }
        let key = IdempotencyKey(scope: record.scope, key: record.key)
        if let taken = idempotency[key] { throw .duplicateKey(taken) }
    }

    func remember(_ record: IdempotencyRecord?) {
        guard let record else { return }
        idempotency[IdempotencyKey(scope: record.scope, key: record.key)] = record
        keysMade += 1
        guard keysMade.isMultiple(of: KeptPerSession.interval),
            let prefix = KeptPerSession.prefix(of: record.scope)
        else { return }
        let own = idempotency.filter { $0.key.scope.hasPrefix(prefix) }
        let surplus = own.count - keptPerSession.idempotencyKeysMax
        guard surplus > 0 else { return }
        for (key, _) in own.sorted(by: { $0.value.createdAt < $1.value.createdAt }).prefix(surplus)
        {
            idempotency[key] = nil
        }
    }

    /// Forgets the session's oldest messages that have ended, if there are too many.
    private func forgetEndedDeliveries(of id: SessionID) {
        let ended = deliveries.filter {
            $0.record.session == id && $0.record.nextAttemptAt == nil
        }
        let surplus = Set(ended.map(\.number).dropLast(keptPerSession.deliveriesMax))
        if !surplus.isEmpty { deliveries.removeAll { surplus.contains($0.number) } }
    }

    private func checkOrder(
        _ entries: [JournalEntry], after newest: SequenceNumber
    ) throws(StoreError) {
        for (expected, entry) in zip((newest + 1)..., entries) where entry.sequence != expected {
            throw .outOfOrder(expected: expected, got: entry.sequence)
        }
    }

    private func check(
        _ draft: SnapshotDraft, newest: SequenceNumber
    ) throws(StoreError) {
        guard draft.sequence == newest else {
            throw .outOfOrder(expected: newest, got: draft.sequence)
        }
        for vector in draft.vectors {
            if case .stored(let id) = vector.content, vectors[id] == nil { throw .missing }
        }
    }
}

// MARK: - Collection

extension MemoryStore {
    private func add(_ draft: SnapshotDraft, to id: SessionID) -> [VectorName: VectorID] {
        var named: [VectorName: VectorID] = [:]
        for (name, content) in draft.vectors {
            precondition(named[name] == nil, "a snapshot names the vector \(name) twice")
            switch content {
            case .stored(let stored):
                vectors[stored]?.names += 1
                named[name] = stored
            case .new(let octets):
                newestVector += 1
                vectors[newestVector] = Vector(octets: octets, names: 1)
                named[name] = newestVector
            }
        }
        // One at the same entry is replaced: it describes the same state.
        if let old = sessions[id]?.snapshots.last, old.sequence == draft.sequence {
            sessions[id]?.snapshots.removeLast()
            release(old)
        }
        sessions[id]?.snapshots.append(
            Snapshot(
                sequence: draft.sequence, formatVersion: draft.formatVersion,
                numericsVersion: draft.numericsVersion, scalars: draft.scalars, vectors: named))
        collect(id)
        retain(id)
        return named
    }

    /// By definition rather than by increments: marks what the newest state and each checkpoint
    /// need, and drops the rest. Costs the session's length.
    private func collect(_ id: SessionID) {
        guard let session = sessions[id], let newest = session.snapshots.last else { return }
        let replayed = replayed(session)
        var needed: Set<SequenceNumber> = [newest.sequence]
        for checkpoint in session.checkpoints.values {
            if let below = snapshot(of: session, atOrBelow: checkpoint.sequence) {
                needed.insert(below.sequence)
            }
        }
        for snapshot in session.snapshots where !needed.contains(snapshot.sequence) {
            release(snapshot)
        }
        sessions[id]?.snapshots.removeAll { !needed.contains($0.sequence) }
        sessions[id]?.entries = session.entries.compactMap { entry in
            if replayed.contains(entry.sequence) { return entry }
            guard entry.trace != nil || entry.sequence >= newest.sequence else { return nil }
            var entry = entry
            entry.payload = []
            return entry
        }
    }

    /// Cuts the trace and the steps to their maximum, as every new snapshot does.
    private func retain(_ id: SessionID) {
        guard let session = sessions[id] else { return }
        let needed = replayed(session)
        var points = session.entries.filter { $0.trace != nil }.map(\.sequence)
        var surplus: Set<SequenceNumber> = []
        while points.count > tracePointsMax {
            let round = TraceThinning.surplus(of: Array(points.prefix(points.count / 2))) {
                $0 == session.newest || needed.contains($0)
            }
            if round.isEmpty { break }
            surplus.formUnion(round)
            points.removeAll(where: surplus.contains)
        }
        sessions[id]?.entries.removeAll { surplus.contains($0.sequence) }
        let newestStep = session.steps.keys.max() ?? 0
        for number in session.steps.keys where number <= newestStep - tracePointsMax {
            sessions[id]?.steps[number] = nil
        }
    }

    /// The entries that the newest state and each checkpoint replay.
    private func replayed(_ session: Session) -> Set<SequenceNumber> {
        var replayed = Set((session.snapshots.last?.sequence ?? 0) + 1..<session.newest + 1)
        for checkpoint in session.checkpoints.values {
            guard let below = snapshot(of: session, atOrBelow: checkpoint.sequence) else {
                preconditionFailure("checkpoint \(checkpoint.number) has no snapshot")
            }
            replayed.formUnion(below.sequence + 1..<checkpoint.sequence + 1)
        }
        return replayed
    }

    private func release(_ snapshot: Snapshot) {
        for id in snapshot.vectors.values {
            vectors[id]?.names -= 1
            if vectors[id]?.names == 0 { vectors[id] = nil }
        }
    }
}
