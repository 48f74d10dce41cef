import Synchronization

/// The phases of a server's life, in order. Each permits less than the one before.
enum ServerPhase: UInt8, AtomicRepresentable, Comparable {
    case new, serving
    /// No new connections are accepted.
    case quiesced
    /// No new requests are accepted; those in flight may finish.
    case draining
    /// All exchanges are being answered, even if their handlers have not responded. From here on
    /// no connection is suspended.
    case closing
    case stopped

    static func < (left: ServerPhase, right: ServerPhase) -> Bool {
        left.rawValue < right.rawValue
    }
}
