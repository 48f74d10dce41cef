import Glibc

/// Starts POSIX threads with all signals blocked: signals are left to the threads of the process
/// that wait for them.
enum ServerThread {
    /// The thread retains the body's captures until the body returns. Returns nil if the system
    /// cannot create a thread. The caller must join or detach it.
    static func start(_ body: @escaping @Sendable () -> Void) -> pthread_t? {
        var thread = pthread_t()
        let context = unsafe Unmanaged.passRetained(Body(run: body))
        // Sound: the new thread takes over the reference. If there is none, it is released here.
        guard unsafe pthread_create(&thread, nil, serverThreadMain, context.toOpaque()) == 0 else {
            unsafe context.release()
            return nil
        }
        return thread
    }

    fileprivate final class Body: Sendable {
        let run: @Sendable () -> Void
        init(run: @escaping @Sendable () -> Void) { self.run = run }
    }
}

/// The thread's C entry point. It is at file scope, because a closure would inherit the isolation
/// of the place where it is written.
private func serverThreadMain(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    var signals = sigset_t()
    // Sound: both calls only fill in or read `signals`.
    _ = unsafe sigfillset(&signals)
    _ = unsafe pthread_sigmask(SIG_BLOCK, &signals, nil)
    guard let context = unsafe context else { return nil }
    // Sound: this is the reference that `start` passed.
    unsafe Unmanaged<ServerThread.Body>.fromOpaque(context).takeRetainedValue().run()
    return nil
}
