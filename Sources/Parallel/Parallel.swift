import Dispatch
import Synchronization

/// Calls `body` once for each index in `0..<count`, on up to `width` threads, the caller's among
/// them; returns when all calls have. Bodies that run at the same time have different workers, in
/// `0..<width`. Indices are taken in order, by whoever is free: a thread that the machine holds up
/// delays one piece of the work and not its share of it.
///
/// It blocks the caller, who works meanwhile; if no other thread can be had the caller does it all.
public func forEachIndex(
    _ count: Int, width: Int, _ body: (_ worker: Int, _ index: Int) -> Void
) {
    let next = Atomic(0)
    withoutActuallyEscaping(body) { body in
        // Sound: all calls end before this function does, and what they share is the caller's
        // business, who was told that they run at the same time.
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
