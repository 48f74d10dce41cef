extension AsyncStream where Element: Sendable {
    /// A stream for a subscriber. Up to `limit` events wait for a slow reader; what doesn't fit is
    /// dropped, and the one who yields it ends the stream. A heartbeat comes at each interval.
    /// - Parameter onEnd: Called when the stream has ended or its reader is gone.
    package static func subscription(
        limit: Int, heartbeat: Element, seconds: Double, onEnd: @escaping @Sendable () -> Void
    ) -> (stream: Self, continuation: Continuation) {
        let (stream, continuation) = makeStream(bufferingPolicy: .bufferingOldest(limit))
        let heartbeats = Task {
            while (try? await Task.sleep(for: .seconds(seconds))) != nil {
                continuation.yield(heartbeat)
            }
        }
        continuation.onTermination = { _ in
            heartbeats.cancel()
            onEnd()
        }
        return (stream, continuation)
    }
}
