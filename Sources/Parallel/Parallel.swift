import Dispatch
import Synchronization

/// Calls `body` once for each index in `0..<count`, on up to `width` threads, the calling one among
/// them. Returns when all calls have returned.
///
/// Each thread takes the next index when it is free. A thread that is preempted therefore delays
/// one piece of the work, and not its share of it. If no other thread is free, the calling thread
/// does all of the work.
/// - Parameters:
///   - count: The number of indices.
///   - width: The most threads.
///   - body: Called with a worker and an index. Calls that run at the same time have different
///     workers in `0..<width`.
public func forEachIndex(
    _ count: Int, width: Int, _ body: (_ worker: Int, _ index: Int) -> Void
) {
    let next = Atomic(0)
    withoutActuallyEscaping(body) { body in
        // Sound: all calls return before this function does. `body` allows calls at the same time.
        nonisolated(unsafe) let body = body
        DispatchQueue.concurrentPerform(iterations: min(width, count)) { worker in
            while true {
                let index = next.wrappingAdd(1, ordering: .relaxed).oldValue
                guard index < count else { return }
                unsafe body(worker, index)
            }
        }
    }
}
