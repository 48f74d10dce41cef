internal import Foundation
internal import Synchronization

/// A thread that calls a store's event-loop callbacks again and again, like a server's thread.
public final class Attending: Sendable {
    private let isOver = Atomic(false)
    private let ended = DispatchSemaphore(value: 0)

    /// Starts the thread.
    /// - Parameters:
    ///   - attend: Called when the loop wakes.
    ///   - commit: Called when its ready requests are drained, ten times in a row.
    ///   - leave: Called before the loop blocks.
    public init(
        attend: @escaping @Sendable () -> Void, commit: @escaping @Sendable () -> Void,
        leave: @escaping @Sendable () -> Void
    ) {
        Thread.detachNewThread { [self] in
            while !isOver.load(ordering: .relaxed) {
                attend()
                for _ in 0..<10 {
                    commit()
                    usleep(1000)
                }
                leave()
                usleep(2000)
            }
            ended.signal()
        }
    }

    /// Ends the thread, and returns when it makes no more calls.
    public func end() {
        isOver.store(true, ordering: .relaxed)
        ended.wait()
    }
}
