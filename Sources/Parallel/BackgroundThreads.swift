import Dispatch
import Glibc
import Synchronization

/// Threads for work that takes milliseconds or longer. Without them it would occupy Swift's
/// cooperative pool, which has one thread for each core and serves all tasks.
///
/// Work begins in the order of the calls. The threads have a low priority, where the system allows
/// to set it, and live as long as the process.
final class BackgroundThreads: Sendable {
    private let waiting = Mutex<[@Sendable () -> Void]>([])
    private let arrivals = DispatchSemaphore(value: 0)

    init(count: Int) {
        for _ in 0..<count {
            var thread = pthread_t()
            // The thread takes over the reference and never releases it.
            let context = unsafe Unmanaged.passRetained(self).toOpaque()
            let result = unsafe pthread_create(&thread, nil, backgroundMain, context)
            precondition(result == 0, "no thread could be created: error \(result)")
            pthread_detach(thread)
        }
    }

    func call(_ body: @escaping @Sendable () -> Void) {
        waiting.withLock { $0.append(body) }
        arrivals.signal()
    }

    fileprivate func main() -> Never {
        // On Linux this sets the priority of this thread alone. Where it is forbidden, the thread
        // keeps the normal priority.
        _ = setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, 10)
        while true {
            arrivals.wait()
            let body = waiting.withLock { $0.removeFirst() }
            body()
        }
    }
}

/// At file scope, so that it does not inherit an actor's isolation.
private func backgroundMain(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    guard let context = unsafe context else { return nil }
    // The reference that `init` retained.
    unsafe Unmanaged<BackgroundThreads>.fromOpaque(context).takeRetainedValue().main()
}
