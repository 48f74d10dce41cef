public enum StoreError: Error, Equatable, Sendable {
    case missing
    case exists
    /// The idempotency key is taken, by this.
    case duplicateKey(IdempotencyRecord)
    case outOfOrder(expected: SequenceNumber, got: SequenceNumber)
    /// No room on the disk; reading goes on.
    case full(String)
    /// What was read fails its checksum, or can't be what was written.
    case corrupt(String)
    /// Another process has the store open.
    case inUse(String)
    /// The file was written by a newer version, or isn't ours.
    case incompatible(String)
    case failed(String)
    case closed
}
