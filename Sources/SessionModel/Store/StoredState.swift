// A session as a store writes and reads it.

/// The name of a vector within a snapshot, e.g. `x`, `g`, `pair/17`.
public typealias VectorName = String

/// A session's whole state right after entry `sequence`.
public struct SnapshotDraft: Sendable {
    public enum Content: Sendable {
        /// Already on disk: named, not written again.
        case stored(VectorID)
        case new(Octets)
    }

    public var sequence: SequenceNumber
    /// Format of `scalars`, and the engine's `numericsVersion` that made the vectors.
    public var formatVersion: Int
    public var numericsVersion: Int
    public var scalars: [UInt8]
    public var vectors: [(name: VectorName, content: Content)]

    public init(
        sequence: SequenceNumber, formatVersion: Int, numericsVersion: Int, scalars: [UInt8],
        vectors: [(name: VectorName, content: Content)]
    ) {
        self.sequence = sequence
        self.formatVersion = formatVersion
        self.numericsVersion = numericsVersion
        self.scalars = scalars
        self.vectors = vectors
    }
}

/// A snapshot as a store reads it. Its checksums have been verified.
public struct StoredSnapshot: Equatable, Sendable {
    public struct StoredVector: Equatable, Sendable {
        public var id: VectorID
        public var octets: Octets

        public init(id: VectorID, octets: Octets) {
            self.id = id
            self.octets = octets
        }
    }

    public var sequence: SequenceNumber
    public var formatVersion: Int
    public var numericsVersion: Int
    public var scalars: [UInt8]
    public var vectors: [VectorName: StoredVector]

    public init(
        sequence: SequenceNumber, formatVersion: Int, numericsVersion: Int, scalars: [UInt8],
        vectors: [VectorName: StoredVector]
    ) {
        self.sequence = sequence
        self.formatVersion = formatVersion
        self.numericsVersion = numericsVersion
        self.scalars = scalars
        self.vectors = vectors
    }
}

public struct StoredSession: Equatable, Sendable {
    public var record: SessionRecord
    public var snapshot: StoredSnapshot
    /// The entries after the snapshot, with payloads, in order.
    public var tail: [JournalEntry]
    /// The newest of all entries (the tail's last, or the one at the snapshot).
    public var newest: JournalEntry
    /// The newest step that has ended.
    public var lastStep: StepRecord?
    /// The number of the next checkpoint.
    public var nextCheckpoint: CheckpointNumber

    public init(
        record: SessionRecord, snapshot: StoredSnapshot, tail: [JournalEntry],
        newest: JournalEntry, lastStep: StepRecord?, nextCheckpoint: CheckpointNumber
    ) {
        self.record = record
        self.snapshot = snapshot
        self.tail = tail
        self.newest = newest
        self.lastStep = lastStep
        self.nextCheckpoint = nextCheckpoint
    }
}

public struct StoredCheckpoint: Equatable, Sendable {
    public var record: CheckpointRecord
    public var snapshot: StoredSnapshot
    public var tail: [JournalEntry]

    public init(record: CheckpointRecord, snapshot: StoredSnapshot, tail: [JournalEntry]) {
        self.record = record
        self.snapshot = snapshot
        self.tail = tail
    }
}

/// A snapshot, and what is replayed from it.
public struct StoredStretch: Equatable, Sendable {
    public var snapshot: StoredSnapshot
    /// The entries after it, with payloads, up to the newest or to the last checkpoint before the
    /// next snapshot.
    public var tail: [JournalEntry]
    /// Those that are restored from it, in order of sequence.
    public var checkpoints: [CheckpointRecord]

    public init(
        snapshot: StoredSnapshot, tail: [JournalEntry], checkpoints: [CheckpointRecord]
    ) {
        self.snapshot = snapshot
        self.tail = tail
        self.checkpoints = checkpoints
    }
}

/// How far the replay of a stretch came.
public struct ReplayedStretch: Sendable {
    /// The newest entry whose replay led to what was recorded, and where the session stood then;
    /// nil if the snapshot can't be read.
    public var reached: (sequence: SequenceNumber, status: SessionStatus)?
    /// The checkpoints that stand where the replay stood.
    public var checkpoints: [CheckpointNumber] = []
    /// What does not match, in words; empty if all does.
    public var differences: [String] = []

    public init() {}
}
