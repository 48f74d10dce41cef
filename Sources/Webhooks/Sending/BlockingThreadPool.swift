internal import Glibc
internal import Synchronization

/// An attempt that waits for a thread, or has one.
final class SendingJob: Sendable {
    /// Blocks. Is passed a question that it asks now and then: whether to give up.
    typealias Work = @Sendable (_ isCancelled: @escaping @Sendable () -> Bool) -> WebhookOutcome

    private let work: Work
    private let isCancelled = Atomic(false)

    init(work: @escaping Work) {
        self.work = work
    }

    func cancel() { isCancelled.store(true, ordering: .relaxed) }
    var wasCancelled: Bool { isCancelled.load(ordering: .relaxed) }

    func run() -> WebhookOutcome {
        if wasCancelled { return .failed(.cancelled) }
        return work { self.wasCancelled }
    }
}

/// Threads for work that blocks. One is started when a job comes and none is free to take it, up
/// to the limit; a thread that finds nothing to do ends, so there is nothing to shut down.
final class SendingThreads: Sendable {
    typealias Continuation = CheckedContinuation<WebhookOutcome, Never>

    private struct State {
        var running = 0
        var waiting: [(job: SendingJob, continuation: Continuation)] = []
    }

    private let countMax: Int
    private let waitingMax: Int
    private let state = Mutex(State())

    init(countMax: Int, waitingMax: Int) {
        self.countMax = countMax
        self.waitingMax = waitingMax
    }

    /// Resumes the continuation, sooner or later, exactly once.
    func submit(_ job: SendingJob, _ continuation: Continuation) {
        /// What came of it, decided under the lock and acted on outside.
        let refusal: WebhookFailure? = state.withLock { state in
            if job.wasCancelled { return .cancelled }
            if state.waiting.count >= waitingMax { return .overloaded }
            if state.running < countMax, startThread() { state.running += 1 }
            if state.running == 0 { return .overloaded }
            state.waiting.append((job, continuation))
            return nil
        }
        if let refusal { continuation.resume(returning: .failed(refusal)) }
    }

    /// A job that waits is given up at once; one that has a thread is told.
    func cancel(_ job: SendingJob) {
        let continuation: Continuation? = state.withLock { state in
            job.cancel()
            guard let index = state.waiting.firstIndex(where: { $0.job === job }) else {
                return nil
            }
            return state.waiting.remove(at: index).continuation
        }
        continuation?.resume(returning: .failed(.cancelled))
    }

    /// A thread's life.
    fileprivate func main() {
        while let (job, continuation) = next() {
            continuation.resume(returning: job.run())
        }
    }

    private func next() -> (SendingJob, Continuation)? {
        state.withLock { state in
            if state.waiting.isEmpty {
                state.running -= 1
                return nil
            }
            return state.waiting.removeFirst()
        }
    }

    private func startThread() -> Bool {
        var thread = pthread_t()
        let context = unsafe Unmanaged.passRetained(self)
        // Sound: the thread takes over the reference; without a thread it is taken back.
        guard unsafe pthread_create(&thread, nil, sendingMain, context.toOpaque()) == 0 else {
            unsafe context.release()
            return false
        }
        pthread_detach(thread)
        return true
    }
}

/// At file scope, as a closure would take on the isolation of the place where it is written.
private func sendingMain(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    var signals = sigset_t()
    // Sound: both calls fill or read `signals` only. Signals are for the threads that wait for
    // them, and SIGPIPE, which TLS may raise, is for nobody.
    _ = unsafe sigfillset(&signals)
    _ = unsafe pthread_sigmask(SIG_BLOCK, &signals, nil)
    guard let context = unsafe context else { return nil }
    // Sound: the reference that `startThread` gave away.
    unsafe Unmanaged<SendingThreads>.fromOpaque(context).takeRetainedValue().main()
    return nil
}
