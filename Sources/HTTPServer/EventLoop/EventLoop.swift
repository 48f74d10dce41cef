import CMicrohttpd
import Glibc
import Synchronization

/// A thread that serves: the library runs on it, and so do the tasks that answer what it has read.
///
///     run       the library reads, writes and calls back; complete requests become tasks
///     work      tasks run, until none is left that can
///     caughtUp  what is better done for many at once is done: a group commit
///     sleep     until a socket has something, or another thread brings something
///
/// So a small request wakes nobody on its way, where it went through three threads before, and the
/// more wait the more share a round. What takes long must be done elsewhere, as work on Swift's own
/// threads must.
///
/// Threads are never let go of: tasks that outlive their server go on on Swift's threads, and know
/// the thread that they preferred.
final class ServingThread: TaskExecutor {
    fileprivate struct Queue {
        var jobs: [UnownedJob] = []
        var calls: [@Sendable (Daemon) -> Void] = []
        /// Whether the library must look at connections that go on.
        var hasResumed = false
        /// Whether whoever brings something must wake the thread.
        var isAsleep = false
        var isStopping = false
        var isStopped = false
    }

    let core: ServerCore
    private let queue = Mutex(Queue())
    private let thread = Mutex<pthread_t?>(nil)
    private let daemon = Mutex<Daemon?>(nil)

    /// Tasks that make tasks must not keep the library waiting for ever.
    private static let roundsMax = 64

    init(core: ServerCore) { self.core = core }

    /// Returns false when the system has no thread, or the library no memory.
    func start() -> Bool {
        guard let daemon = Daemon(thread: self) else { return false }
        self.daemon.withLock { $0 = daemon }
        var thread = pthread_t()
        // Never released: see above.
        let context = unsafe Unmanaged.passRetained(self).toOpaque()
        guard unsafe pthread_create(&thread, nil, servingMain, context) == 0 else {
            self.daemon.withLock { $0 = nil }
            daemon.stop()
            return false
        }
        self.thread.withLock { $0 = thread }
        return true
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        let isAsleep: Bool? = queue.withLock { queue -> Bool? in
            if queue.isStopped { return nil }
            queue.jobs.append(job)
            return queue.wake()
        }
        guard let isAsleep else { return globalConcurrentExecutor.enqueue(ExecutorJob(job)) }
        if isAsleep { wake() }
    }

    /// Serves the connection, and owns its socket from here on. From any thread, before `stop`.
    func add(_ socket: Int32, _ address: sockaddr_storage, _ length: socklen_t) {
        let isAsleep = queue.withLock { queue in
            queue.calls.append { [core] daemon in
                if !daemon.add(socket, address, length) { core.connections.drop(socket) }
            }
            return queue.wake()
        }
        if isAsleep { wake() }
    }

    /// A connection was resumed: the library, which has no thread, is called soon. From any thread.
    func resumed() {
        let isAsleep = queue.withLock { queue in
            queue.hasResumed = true
            return queue.wake()
        }
        if isAsleep { wake() }
    }

    /// Ends a sleep.
    func wake() { daemon.withLock { $0?.wake() } }

    /// Returns when the library has closed what was open. No connection may be suspended.
    func stop() {
        guard let thread = thread.withLock({ $0.take() }) else { return }
        queue.withLock { $0.isStopping = true }
        wake()
        // The thread was made joinable, and is joined once.
        pthread_join(thread, nil)
    }

    // MARK: The thread

    fileprivate func main() {
        guard let daemon = daemon.withLock({ $0 }) else { return }
        let attendant = core.attendant
        attendant.wakes()
        while !queue.withLock({ $0.beginRound() }) {
            daemon.run()
            work(daemon)
            attendant.caughtUp()
            work(daemon)
            guard queue.withLock({ $0.fallAsleep() }) else { continue }
            attendant.sleeps()
            daemon.sleep()
            queue.withLock { $0.isAsleep = false }
            attendant.wakes()
        }
        work(daemon)
        attendant.sleeps()
        self.daemon.withLock { $0 = nil }
        daemon.stop()
        let left = queue.withLock { queue in
            queue.isStopped = true
            defer { queue.jobs = [] }
            return queue.jobs
        }
        for job in left { globalConcurrentExecutor.enqueue(ExecutorJob(job)) }
    }

    private func work(_ daemon: Daemon) {
        // Sound: threads live for ever, and a job is run once.
        let executor = unsafe asUnownedTaskExecutor()
        var jobs: [UnownedJob] = []
        for _ in 0..<Self.roundsMax {
            jobs.removeAll(keepingCapacity: true)
            let calls = queue.withLock { queue in
                swap(&jobs, &queue.jobs)
                defer { queue.calls = [] }
                return queue.calls
            }
            if jobs.isEmpty && calls.isEmpty { return }
            for call in calls { call(daemon) }
            for job in jobs { unsafe job.runSynchronously(on: executor) }
        }
    }
}

extension ServingThread.Queue {
    /// Something was brought. Returns whether the thread must be woken.
    fileprivate mutating func wake() -> Bool {
        defer { isAsleep = false }
        return isAsleep
    }

    /// What is resumed from here on is another round's. Returns whether there shall be none.
    fileprivate mutating func beginRound() -> Bool {
        hasResumed = false
        return isStopping
    }

    /// Returns false when there is something to do.
    fileprivate mutating func fallAsleep() -> Bool {
        guard jobs.isEmpty, calls.isEmpty, !hasResumed, !isStopping else { return false }
        isAsleep = true
        return true
    }
}

/// The thread's function, at file scope because it must not take on anybody's isolation.
private func servingMain(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    var signals = sigset_t()
    // Signals are for the threads that wait for them. Both calls fill or read `signals` only.
    _ = unsafe sigfillset(&signals)
    _ = unsafe pthread_sigmask(SIG_BLOCK, &signals, nil)
    // Of this thread alone, on Linux: what it does for a request takes microseconds, and shouldn't
    // wait for who computes. Where that isn't allowed it competes like others.
    _ = setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, -5)
    guard let context = unsafe context else { return nil }
    // The reference that `start` gave away for ever.
    unsafe Unmanaged<ServingThread>.fromOpaque(context).takeUnretainedValue().main()
    return nil
}
