import Synchronization

/// Counters that all threads of a server update. `ServerActivity` is a snapshot of them.
struct ServerCounters: ~Copyable, Sendable {
    /// Requests whose header was read and whose response is not completely sent.
    let exchangesInFlight = Atomic<Int>(0)
    /// Of these, the ones whose connection is suspended: they await a body plan, a handler, or the
    /// next chunk of a stream.
    let exchangesSuspended = Atomic<Int>(0)
    let bodyBytesInFlight = Atomic<Int>(0)
    let connectionsTimedOut = Atomic<Int>(0)
    let connectionsRejected = Atomic<Int>(0)
}

/// A snapshot of a server's counters, for metrics.
public struct ServerActivity: Sendable, Equatable {
    public var connectionsOpen: Int
    /// Requests whose header was read and whose response is not completely sent, including
    /// long-polls and streams.
    public var exchangesInFlight: Int
    /// Exchanges in flight that await their handler or the next chunk of a stream.
    public var exchangesSuspended: Int
    /// Connections turned away since the start because a limit was reached.
    public var connectionsRejected: Int
    /// Connections closed since the start because they missed a deadline.
    public var connectionsTimedOut: Int
    /// The memory reserved for request bodies.
    public var bodyBytesInFlight: Int
    /// The memory that responses hold which are not sent to the end.
    public var responseBytesInFlight: Int
}
