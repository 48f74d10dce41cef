public enum StoreError: Error, Equatable, Sendable {
    /// A queue of the store, with a limit of its own.
    public enum Queue: Equatable, Sendable {
        case writes, writtenBytes, reads
    }

    case missing
    case exists
    /// The idempotency key is already used by this record.
    case duplicateKey(IdempotencyRecord)
    case outOfOrder(expected: SequenceNumber, got: SequenceNumber)
    /// The disk is full. Reads still succeed.
    case full(String)
    /// Stored bytes fail their checksum, or cannot be what was written.
    case corrupt(String)
    /// So much waits for the disk that more is refused. A retry may succeed.
    case overloaded(Queue, maximum: Int)
    /// Another process has the store open.
    case inUse(String)
    /// The file was written by a newer version, or by another program.
    case incompatible(String)
    /// Another store was promoted with this term. Reads still succeed.
    case fenced(term: Int)
    case failed(String)
    case closed
}
