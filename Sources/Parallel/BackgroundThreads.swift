import Dispatch
import Glibc
import Synchronization

/// Threads for work that takes milliseconds and more, so that it doesn't take those that serve:
/// Swift has one for each core, shared by all tasks.
///
/// Work begins in the order in which it came. The threads give way to others where the system lets
/// them say so, and live as long as the process.
final class BackgroundThreads: Sendable {
    private let waiting = Mutex<[@Sendable () -> Void]>([])
    private let arrivals = DispatchSemaphore(value: 0)

    init(count: Int) {
        for _ in 0..<count {
            var thread = pthread_t()
            // The thread takes over the reference, and never gives it back.
            let context = unsafe Unmanaged.passRetained(self).toOpaque()
            let result = unsafe pthread_create(&thread, nil, backgroundMain, context)
            precondition(result == 0, "the system has no thread: error \(result)")
            pthread_detach(thread)
        }
    }

    func call(_ body: @escaping @Sendable () -> Void) {
        waiting.withLock { $0.append(body) }
        arrivals.signal()
    }

    fileprivate func main() -> Never {
        // Of this thread alone, on Linux. Where it is forbidden the thread competes like others.
        _ = setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, 10)
        while true {
            arrivals.wait()
            let body = waiting.withLock { $0.removeFirst() }
            body()
        }
    }
}

/// At file scope because it must not take on anybody's isolation.
private func backgroundMain(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    guard let context = unsafe context else { return nil }
    // The reference that `init` gave away.
    unsafe Unmanaged<BackgroundThreads>.fromOpaque(context).takeRetainedValue().main()
}
