internal import Glibc
internal import Synchronization

/// An attempt to send a webhook, which waits for a thread or runs on one.
final class SendJob: Sendable {
    /// Blocks until there is an outcome. Calls `isCancelled` about once a second.
    typealias Work = @Sendable (_ isCancelled: @escaping @Sendable () -> Bool) -> WebhookOutcome

    private let work: Work
    private let cancelled = Atomic(false)

    init(work: @escaping Work) {
        self.work = work
    }

    func cancel() { cancelled.store(true, ordering: .relaxed) }
    var isCancelled: Bool { cancelled.load(ordering: .relaxed) }

    func run() -> WebhookOutcome {
        if isCancelled { return .failed(.cancelled) }
        return work { self.isCancelled }
    }
}

/// A pool of threads for jobs that block. A submitted job starts a thread, up to the limit; a
/// thread without a job ends, so the pool needs no shutdown.
///
/// `HTTPServer` starts threads in a similar way. A module for the ten shared lines would make both
/// depend on it, so they are here twice.
final class BlockingThreadPool: Sendable {
    typealias Continuation = CheckedContinuation<WebhookOutcome, Never>

    private struct State {
        var threads = 0
        var waiting: [(job: SendJob, continuation: Continuation)] = []
    }

    private let threadsMax: Int
    private let waitingMax: Int
    private let state = Mutex(State())

    init(threadsMax: Int, waitingMax: Int) {
        self.threadsMax = threadsMax
        self.waitingMax = waitingMax
    }

    /// Resumes the continuation exactly once: with the job's outcome, or with a failure if the job
    /// is cancelled or the pool is overloaded.
    func submit(_ job: SendJob, _ continuation: Continuation) {
        let failure: WebhookFailure? = state.withLock { state in
            if job.isCancelled { return .cancelled }
            if state.waiting.count >= waitingMax { return .overloaded }
            if state.threads < threadsMax, startThread() { state.threads += 1 }
            if state.threads == 0 { return .overloaded }
            state.waiting.append((job, continuation))
            return nil
        }
        if let failure { continuation.resume(returning: .failed(failure)) }
    }

    /// Ends a waiting job at once. A running job ends when it next calls `isCancelled`.
    func cancel(_ job: SendJob) {
        let continuation: Continuation? = state.withLock { state in
            job.cancel()
            guard let index = state.waiting.firstIndex(where: { $0.job === job }) else {
                return nil
            }
            return state.waiting.remove(at: index).continuation
        }
        continuation?.resume(returning: .failed(.cancelled))
    }

    // MARK: The threads

    fileprivate func main() {
        while let (job, continuation) = nextJob() {
            continuation.resume(returning: job.run())
        }
    }

    private func nextJob() -> (SendJob, Continuation)? {
        state.withLock { state in
            if state.waiting.isEmpty {
                state.threads -= 1
                return nil
            }
            return state.waiting.removeFirst()
        }
    }

    private func startThread() -> Bool {
        var thread = pthread_t()
        let context = unsafe Unmanaged.passRetained(self)
        // Sound: the new thread takes over the reference. If there is none, it is released here.
        guard unsafe pthread_create(&thread, nil, poolThreadMain, context.toOpaque()) == 0 else {
            unsafe context.release()
            return false
        }
        pthread_detach(thread)
        return true
    }
}

/// The thread's C entry point. It is at file scope, because a closure would inherit the isolation
/// of the place where it is written.
private func poolThreadMain(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    var signals = sigset_t()
    // Signals are left to the threads that wait for them; and TLS may raise SIGPIPE, which must not
    // end the process. Sound: both calls only fill in or read `signals`.
    _ = unsafe sigfillset(&signals)
    _ = unsafe pthread_sigmask(SIG_BLOCK, &signals, nil)
    guard let context = unsafe context else { return nil }
    // Sound: this is the reference that `startThread` passed.
    unsafe Unmanaged<BlockingThreadPool>.fromOpaque(context).takeRetainedValue().main()
    return nil
}
