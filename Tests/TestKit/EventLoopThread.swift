internal import Foundation
internal import Synchronization

/// A thread that calls a store's event-loop functions in turn, as those of a server do.
public final class EventLoopThread: Sendable {
    private let isOver = Atomic(false)
    private let ended = DispatchSemaphore(value: 0)

    /// Starts the thread.
    /// - Parameters:
    ///   - woke: Called when the loop wakes.
    ///   - drained: Called when its ready requests are drained, ten times in a row.
    ///   - willBlock: Called before the loop blocks.
    public init(
        woke: @escaping @Sendable () -> Void, drained: @escaping @Sendable () -> Void,
        willBlock: @escaping @Sendable () -> Void
    ) {
        Thread.detachNewThread { [self] in
            while !isOver.load(ordering: .relaxed) {
                woke()
                for _ in 0..<10 {
                    drained()
                    usleep(1000)
                }
                willBlock()
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
