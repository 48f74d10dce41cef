internal import Foundation
internal import Synchronization

/// A thread that looks in again and again and leaves now and then, as those of a server do.
public final class Attending: Sendable {
    private let isOver = Atomic(false)
    private let ended = DispatchSemaphore(value: 0)

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

    /// Returns when the thread looks in no more.
    public func end() {
        isOver.store(true, ordering: .relaxed)
        ended.wait()
    }
}
