/// What is called by the threads that serve, so that work for many requests can be done at once by
/// whoever has just taken them in.
///
/// Each thread calls `wakes` and `sleeps` by turns, and `caughtUp` in between, when every request
/// that was there has gone as far as it can. None may take longer than a request does.
public struct Attendant: Sendable {
    var wakes: @Sendable () -> Void
    var caughtUp: @Sendable () -> Void
    var sleeps: @Sendable () -> Void

    public init(
        wakes: @escaping @Sendable () -> Void = {},
        caughtUp: @escaping @Sendable () -> Void = {},
        sleeps: @escaping @Sendable () -> Void = {}
    ) {
        self.wakes = wakes
        self.caughtUp = caughtUp
        self.sleeps = sleeps
    }
}
