import Glibc
import Synchronization

/// A thread that serves connections: it runs libmicrohttpd, and it is the task executor of the
/// handlers of the requests that it reads.
///
/// Each iteration:
///
///     run        the library reads, writes and calls back; complete requests become tasks
///     run tasks  until none is ready
///     didDrain   the hook for work done for many requests at once, such as group commit
///     run tasks  that the hook made ready
///     wait       until a socket is ready or another thread submits something
///
/// A small request is therefore read, handled and answered by one thread; passing it between
/// threads would cost three context switches. The more requests are ready, the more share an
/// iteration. Handlers must not block or compute for long here, just as on Swift's cooperative
/// threads.
///
/// Event loops are never deallocated: a task may outlive its server, and then still refers to the
/// executor that it prefers. Once the loop has stopped, such tasks run on Swift's global executor.
final class EventLoop: TaskExecutor {
    fileprivate struct Queue {
        var jobs: [UnownedJob] = []
        var calls: [@Sendable (Daemon) -> Void] = []
        /// Whether a connection was resumed since the library last ran, so that it must run again.
        var hasResumedConnection = false
        /// Whether the thread is blocked, or about to be, and must be woken for new work.
        var isBlocked = false
        var isStopping = false
        var isStopped = false
    }

    let core: ServerCore
    private let queue = Mutex(Queue())
    private let thread = Mutex<pthread_t?>(nil)
    private let daemon = Mutex<Daemon?>(nil)

    /// Limits the rounds of tasks per iteration, so that tasks that keep creating tasks cannot keep
    /// the library from running.
    private static let taskRoundsMax = 64

    init(core: ServerCore) { self.core = core }

    /// Returns false if the system cannot create a thread, or the library has no memory.
    func start() -> Bool {
        guard let daemon = Daemon(eventLoop: self) else { return false }
        self.daemon.withLock { $0 = daemon }
        guard let thread = ServerThread.start({ self.main() }) else {
            self.daemon.withLock { $0 = nil }
            daemon.stop()
            return false
        }
        // Never balanced: see the type's description.
        _ = unsafe Unmanaged.passRetained(self)
        self.thread.withLock { $0 = thread }
        return true
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        let mustWake: Bool? = queue.withLock { queue -> Bool? in
            if queue.isStopped { return nil }
            queue.jobs.append(job)
            return queue.unblock()
        }
        guard let mustWake else { return globalConcurrentExecutor.enqueue(ExecutorJob(job)) }
        if mustWake { wake() }
    }

    /// Serves the connected socket and takes ownership of it. May be called from any thread before
    /// `stop`.
    func add(_ socket: Int32, from address: SocketAddress) {
        let mustWake = queue.withLock { queue in
            queue.calls.append { [core] daemon in
                if !daemon.add(socket, from: address) {
                    core.connections.cancelAdmission(of: socket)
                }
            }
            return queue.unblock()
        }
        if mustWake { wake() }
    }

    /// Makes the library run soon, because a suspended connection was resumed. May be called from
    /// any thread.
    func connectionResumed() {
        let mustWake = queue.withLock { queue in
            queue.hasResumedConnection = true
            return queue.unblock()
        }
        if mustWake { wake() }
    }

    /// Ends the thread's wait for events, or prevents the next one.
    func wake() { daemon.withLock { $0?.wake() } }

    /// Stops the thread and closes the connections that are still open. No connection may be
    /// suspended.
    func stop() {
        guard let thread = thread.withLock({ $0.take() }) else { return }
        queue.withLock { $0.isStopping = true }
        wake()
        // The thread is joinable, and `take` ensures that it is joined once.
        pthread_join(thread, nil)
    }

    // MARK: The thread

    private func main() {
        Self.raisePriority()
        guard let daemon = daemon.withLock({ $0 }) else { return }
        let hooks = core.hooks
        hooks.didWake()
        while !queue.withLock({ $0.beginIteration() }) {
            daemon.run()
            runTasks(daemon)
            hooks.didDrain()
            runTasks(daemon)
            guard queue.withLock({ $0.prepareToBlock() }) else { continue }
            hooks.willBlock()
            daemon.waitForEvents()
            queue.withLock { $0.isBlocked = false }
            hooks.didWake()
        }
        runTasks(daemon)
        hooks.willBlock()
        self.daemon.withLock { $0 = nil }
        daemon.stop()
        let remaining = queue.withLock { queue in
            queue.isStopped = true
            defer { queue.jobs = [] }
            return queue.jobs
        }
        for job in remaining { globalConcurrentExecutor.enqueue(ExecutorJob(job)) }
    }

    /// Raises the priority of the calling thread (on Linux, setpriority affects one thread): it
    /// works microseconds per request, and should not wait for threads that compute. Without the
    /// permission to do so nothing changes.
    private static func raisePriority() {
        _ = setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, -5)
    }

    /// Runs submitted calls and ready tasks until there are none.
    private func runTasks(_ daemon: Daemon) {
        // Sound: event loops are never deallocated, and each job is run once.
        let executor = unsafe asUnownedTaskExecutor()
        var jobs: [UnownedJob] = []
        for _ in 0..<Self.taskRoundsMax {
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

extension EventLoop.Queue {
    /// Called after something was queued. Returns whether the thread must be woken.
    fileprivate mutating func unblock() -> Bool {
        defer { isBlocked = false }
        return isBlocked
    }

    /// Returns true if the thread shall end. Connections resumed from here on need another
    /// iteration.
    fileprivate mutating func beginIteration() -> Bool {
        hasResumedConnection = false
        return isStopping
    }

    /// Returns false if there is something to do, so that the thread must not block.
    fileprivate mutating func prepareToBlock() -> Bool {
        guard jobs.isEmpty, calls.isEmpty, !hasResumedConnection, !isStopping else { return false }
        isBlocked = true
        return true
    }
}
