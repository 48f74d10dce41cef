/// Callbacks of an event loop, for work that is cheaper if done for many requests at once.
///
/// Each event loop thread calls `didWake` and `willBlock` alternately, and `didDrain` in between,
/// whenever every ready request has advanced as far as it can. A callback delays all connections of
/// its loop, so it must not take longer than a small request does. The store uses `didDrain` for
/// group commit.
public struct EventLoopHooks: Sendable {
    var didWake: @Sendable () -> Void
    var didDrain: @Sendable () -> Void
    var willBlock: @Sendable () -> Void

    public init(
        didWake: @escaping @Sendable () -> Void = {},
        didDrain: @escaping @Sendable () -> Void = {},
        willBlock: @escaping @Sendable () -> Void = {}
    ) {
        self.didWake = didWake
        self.didDrain = didDrain
        self.willBlock = willBlock
    }
}
