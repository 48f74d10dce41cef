public enum StoreError: Error, Equatable, Sendable {
    case missing
    case exists
    /// The idempotency key is already used by this record.
    case duplicateKey(IdempotencyRecord)
    case outOfOrder(expected: SequenceNumber, got: SequenceNumber)
    /// The disk is full. Reads still succeed.
    case full(String)
    /// Stored bytes fail their checksum, or cannot be what was written.
    case corrupt(String)
    /// Another process has the store open.
    case inUse(String)
    /// The file was written by a newer version, or by another program.
    case incompatible(String)
    case failed(String)
    case closed
}
