import Synchronization

/// The phases of a server's life, in order. Each permits less than the one before.
enum ServerPhase: UInt8, AtomicRepresentable, Comparable {
    case new, serving
    /// No new connections are accepted. Every response from here on closes its connection.
    case quiesced
    /// Idle connections are ended. Requests in flight may finish, and one that was on the way is
    /// served.
    case draining
    /// All exchanges are being answered, even if their handlers have not responded. From here on
    /// no connection is suspended.
    case closing
    case stopped

    static func < (left: ServerPhase, right: ServerPhase) -> Bool {
        left.rawValue < right.rawValue
    }
}
