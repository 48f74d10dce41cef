import Synchronization

/// How far a client has read a long response.
///
/// The library asks for the next block when the socket has accepted the last one, so the position
/// moves only while the client reads.
final class ResponseProgress: Sendable {
    private struct Watch {
        /// The newest position that was seen, and when it was first seen.
        var position = 0
        var since: Int64
        /// Where the client was at the beginning of the interval in which its rate is measured.
        var intervalPosition = 0
        var intervalStart: Int64
    }

    private let position = Atomic<Int>(0)
    private let watch: Mutex<Watch>

    init() {
        let now = MonotonicClock.nanoseconds()
        watch = Mutex(Watch(since: now, intervalStart: now))
    }

    func advance(to position: Int) { self.position.store(position, ordering: .relaxed) }

    /// Whether the client has read nothing for an interval, or fewer than `bytesMin` bytes in one
    /// that is over. To be asked from time to time; after each interval the next one begins.
    func isStalled(at now: Int64, interval: Int64, bytesMin: Int) -> Bool {
        let position = position.load(ordering: .relaxed)
        return watch.withLock { watch in
            if position != watch.position {
                watch.position = position
                watch.since = now
            } else if now - watch.since >= interval {
                return true
            }
            guard now - watch.intervalStart >= interval else { return false }
            let isSlow = position - watch.intervalPosition < bytesMin
            watch.intervalPosition = position
            watch.intervalStart = now
            return isSlow
        }
    }
}
