import Dispatch
import Synchronization

/// Runs an actor's jobs on a background thread, one after the other. Actors may share it.
public final class BackgroundLane: SerialExecutor {
    private let threads = BackgroundThreads(count: 1)

    /// The lane must live as long as the process.
    public init() {}

    public func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        // Sound: a lane lives as long as the process, and a job is run once.
        let executor = unsafe asUnownedSerialExecutor()
        threads.call { unsafe job.runSynchronously(on: executor) }
    }
}

/// Runs tasks that prefer it, and what they call, on background threads.
public final class BackgroundTasks: TaskExecutor {
    private let threads: BackgroundThreads

    /// The executor must live as long as the process.
    public init(threads count: Int) { threads = BackgroundThreads(count: count) }

    public func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        // Sound: the executor lives as long as the process, and a job is run once.
        let executor = unsafe asUnownedTaskExecutor()
        threads.call { unsafe job.runSynchronously(on: executor) }
    }
}

/// Background threads for work that nobody's actor does.
public final class BackgroundCalls: Sendable {
    private let threads: BackgroundThreads

    public init(threads count: Int) { threads = BackgroundThreads(count: count) }

    /// Begins in the order of the calls.
    public func call(_ body: @escaping @Sendable () -> Void) { threads.call(body) }
}

/// Background threads that help with passes over long vectors.
public final class BackgroundHelpers: Sendable {
    private let threads: BackgroundThreads

    public init(threads count: Int) { threads = BackgroundThreads(count: count) }

    /// Calls `body` once for each index in `0..<count`: on the thread that calls, as worker 0, and
    /// on a helper's, if one is free in time, as worker 1. Returns when all calls have.
    ///
    /// Indices are taken in order, by whoever is free: a thread that the machine holds up delays
    /// one piece of the work and not its share of it.
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

/// A pass that one thread leads and another may help with.
///
///     open --help--> helped --(the helper ends)--> led
///     open ----------------- lead -------------> led
private final class Pass: @unchecked Sendable {
    private enum Claim: UInt8, AtomicRepresentable { case open, helped, led }
    typealias Body = (_ worker: Int, _ next: borrowing Atomic<Int>) -> Void

    private let next = Atomic(0)
    private let claim = Atomic(Claim.open)
    private let helperEnded = DispatchSemaphore(value: 0)
    /// Sound: the helper reads it only after it has claimed the pass, and then the leader waits for
    /// it to end before the body goes. What the two do at once is the business of whoever began.
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
        let (isWanted, _) = claim.compareExchange(
            expected: .open, desired: .helped, ordering: .sequentiallyConsistent)
        guard isWanted else { return }
        unsafe body?(1, next)
        helperEnded.signal()
    }
}
