import Dispatch
import Synchronization

/// A serial executor with a background thread of its own. Several actors may share it.
public final class BackgroundSerialExecutor: SerialExecutor {
    private let threads = BackgroundThreads(count: 1)

    /// Starts the thread. The executor must live as long as the process.
    public init() {}

    /// Runs the job after those that were enqueued before.
    /// - Parameter job: The job.
    public func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        // Sound: the executor lives as long as the process, and a job is run once.
        let executor = unsafe asUnownedSerialExecutor()
        threads.call { unsafe job.runSynchronously(on: executor) }
    }
}

/// A task executor with background threads of its own, for tasks that prefer it.
public final class BackgroundTaskExecutor: TaskExecutor {
    private let threads: BackgroundThreads

    /// Starts the threads. The executor must live as long as the process.
    /// - Parameter count: The number of threads.
    public init(threads count: Int) { threads = BackgroundThreads(count: count) }

    /// Runs the job when a thread is free.
    /// - Parameter job: The job.
    public func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        // Sound: the executor lives as long as the process, and a job is run once.
        let executor = unsafe asUnownedTaskExecutor()
        threads.call { unsafe job.runSynchronously(on: executor) }
    }
}

/// Background threads for functions that belong to no actor or task.
public final class BackgroundCallQueue: Sendable {
    private let threads: BackgroundThreads

    /// Starts the threads, which live as long as the process.
    /// - Parameter count: The number of threads.
    public init(threads count: Int) { threads = BackgroundThreads(count: count) }

    /// Runs `body` when a thread is free. Bodies begin in the order of the calls.
    /// - Parameter body: The function to run.
    public func call(_ body: @escaping @Sendable () -> Void) { threads.call(body) }
}

/// Background threads that share the work of passes over long vectors.
public final class BackgroundHelperThreads: Sendable {
    private let threads: BackgroundThreads

    /// Starts the threads, which live as long as the process.
    /// - Parameter count: The number of threads.
    public init(threads count: Int) { threads = BackgroundThreads(count: count) }

    /// Calls `body` once for each index in `0..<count`: on the calling thread, as worker 0, and on
    /// a background thread, if one is free in time, as worker 1. Returns when all calls have
    /// returned.
    ///
    /// Each thread takes the next index when it is free. A thread that is preempted therefore
    /// delays one piece of the work, and not half of it.
    /// - Parameters:
    ///   - count: The number of indices.
    ///   - body: Called with a worker and an index, on two threads at the same time.
    public func forEachIndex(_ count: Int, _ body: (_ worker: Int, _ index: Int) -> Void) {
        withoutActuallyEscaping(body) { body in
            let pass = Pass { worker, next in
                while true {
                    let index = next.wrappingAdd(1, ordering: .relaxed).oldValue
                    guard index < count else { return }
                    body(worker, index)
                }
            }
            threads.call { pass.help() }
            pass.lead()
        }
    }
}

/// A pass that one thread runs and another may join.
///
///     open --- help ---> helped     the helper runs too; `lead` waits for it
///     open --- lead ---> led        the leader has finished alone; a later `help` does nothing
private final class Pass: @unchecked Sendable {
    private enum Claim: UInt8, AtomicRepresentable { case open, helped, led }
    typealias Body = (_ worker: Int, _ next: borrowing Atomic<Int>) -> Void

    private let next = Atomic(0)
    private let claim = Atomic(Claim.open)
    private let helperEnded = DispatchSemaphore(value: 0)
    /// Sound: the helper reads it only after it has claimed the pass, and the leader then waits for
    /// the helper before it clears the body. The body itself allows two calls at the same time.
    nonisolated(unsafe) private var body: Body?

    init(body: @escaping Body) { unsafe self.body = body }

    func lead() {
        unsafe body?(0, next)
        let (isAlone, _) = claim.compareExchange(
            expected: .open, desired: .led, ordering: .sequentiallyConsistent)
        if !isAlone { helperEnded.wait() }
        unsafe body = nil
    }

    func help() {
        let (isOpen, _) = claim.compareExchange(
            expected: .open, desired: .helped, ordering: .sequentiallyConsistent)
        guard isOpen else { return }
        unsafe body?(1, next)
        helperEnded.signal()
    }
}
