import SessionModel

// A caller's batch with its checksums computed, and the number of bytes that the committer has to
// write.

struct PreparedEntry: Sendable {
    let entry: JournalEntry
    let payload: PreparedBytes?

    /// - Parameter covered: The sequence number of the snapshot that comes with the entries. Those
    ///   up to it are written without payload, because nothing replays them.
    init(_ entry: JournalEntry, covered: SequenceNumber) {
        self.entry = entry
        let isReplayed = entry.sequence > covered && !entry.payload.isEmpty
        payload = isReplayed ? PreparedBytes(entry.payload) : nil
    }
}

struct PreparedSnapshot: Sendable {
    let draft: SnapshotDraft
    let scalars: PreparedBytes
    /// The bytes of the draft's vectors, in order; nil for those that are stored already.
    let new: [PreparedBytes?]

    init(_ draft: SnapshotDraft) {
        let names = Set(draft.vectors.map(\.name))
        precondition(names.count == draft.vectors.count, "a snapshot names a vector twice")
        self.draft = draft
        scalars = PreparedBytes(draft.scalars)
        new = draft.vectors.map { vector in
            switch vector.content {
            case .stored: nil
            case .new(let octets): PreparedBytes(octets)
            }
        }
    }

    /// Bytes that the committer has to write.
    var bytes: Int {
        scalars.count + new.reduce(0) { $0 + ($1?.bytesToWrite ?? 0) }
    }
}

struct PreparedBatch: Sendable {
    let entries: [PreparedEntry]
    let step: StepRecord?
    let snapshot: PreparedSnapshot?
    let checkpoint: CheckpointRecord?
    let removedCheckpoint: CheckpointNumber?
    let keptCheckpoint: (number: CheckpointNumber, isKept: Bool)?
    let metadata: SessionMetadata?
    let idempotency: IdempotencyRecord?
    let deliveries: [DeliveryRecord]
    let isEntryAlone: Bool

    init(_ batch: Batch) {
        let covered = batch.snapshot?.sequence ?? 0
        entries = batch.entries.map { PreparedEntry($0, covered: covered) }
        step = batch.step
        snapshot = batch.snapshot.map(PreparedSnapshot.init)
        checkpoint = batch.checkpoint
        removedCheckpoint = batch.removedCheckpoint
        keptCheckpoint = batch.keptCheckpoint
        metadata = batch.metadata
        idempotency = batch.idempotency
        deliveries = batch.deliveries
        isEntryAlone = batch.isEntryAlone
    }

    var bytes: Int {
        entries.reduce(snapshot?.bytes ?? 0) { $0 + ($1.payload?.bytesToWrite ?? 0) }
    }
}

extension Batch {
    /// Whether the batch is one entry and nothing else, as nearly all batches are.
    var isEntryAlone: Bool {
        entries.count == 1 && step == nil && snapshot == nil && checkpoint == nil
            && removedCheckpoint == nil && keptCheckpoint == nil && metadata == nil
            && idempotency == nil
            && deliveries.isEmpty
    }
}
