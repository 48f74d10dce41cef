public import struct Foundation.Date

/// A checkpoint pins the state right after journal entry `sequence`: the snapshot below it and the
/// entries in between are kept as long as it exists. Making one writes this record only.
public struct CheckpointRecord: Equatable, Sendable {
    public var number: CheckpointNumber
    public var name: String?
    public var sequence: SequenceNumber
    public var createdAt: Date
    public var status: SessionStatus
    /// Whether its session stays even when it has been idle for long.
    public var isKept: Bool

    public init(
        number: CheckpointNumber, name: String?, sequence: SequenceNumber, createdAt: Date,
        status: SessionStatus, isKept: Bool = false
    ) {
        self.number = number
        self.name = name
        self.sequence = sequence
        self.createdAt = createdAt
        self.status = status
        self.isKept = isKept
    }
}
