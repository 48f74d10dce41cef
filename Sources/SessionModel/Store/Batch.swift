/// One atomic change of one session.
public struct Batch: Sendable {
    /// Consecutive; may be empty (checkpoints, metadata).
    public var entries: [JournalEntry] = []
    /// A step that one of the entries ended.
    public var step: StepRecord?
    /// The state after the last entry, which becomes the session's newest snapshot.
    public var snapshot: SnapshotDraft?
    /// A checkpoint at the newest entry (of this batch included).
    public var checkpoint: CheckpointRecord?
    public var removedCheckpoint: CheckpointNumber?
    /// A checkpoint that is kept from now on, or no longer.
    public var keptCheckpoint: (number: CheckpointNumber, isKept: Bool)?
    /// The new name, labels and parameters, with their metadata version.
    public var metadata: SessionMetadata?
    public var idempotency: IdempotencyRecord?
    /// Messages to webhooks, which are to be delivered.
    public var deliveries: [DeliveryRecord] = []

    public init() {}
}

/// The part of a session's record that can change.
public struct SessionMetadata: Equatable, Sendable {
    public var name: String?
    public var labels: [String: String]
    public var version: Int
    /// nil if unchanged.
    public var parameters: [ParameterSpec]?
    /// nil if unchanged.
    public var memoryBytes: Int?
    /// nil if unchanged.
    public var expiresAfter: Int??

    public init(
        name: String?, labels: [String: String], version: Int, parameters: [ParameterSpec]? = nil,
        memoryBytes: Int? = nil, expiresAfter: Int?? = nil
    ) {
        self.name = name
        self.labels = labels
        self.version = version
        self.parameters = parameters
        self.memoryBytes = memoryBytes
        self.expiresAfter = expiresAfter
    }
}

extension SessionRecord {
    package mutating func apply(_ metadata: SessionMetadata) {
        name = metadata.name
        labels = metadata.labels
        metadataVersion = metadata.version
        if let parameters = metadata.parameters { self.parameters = parameters }
        if let memoryBytes = metadata.memoryBytes { self.memoryBytes = memoryBytes }
        if let expiresAfter = metadata.expiresAfter { self.expiresAfter = expiresAfter }
    }
}
