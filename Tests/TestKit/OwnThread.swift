internal import Foundation

/// Runs `body`, and what it awaits, on threads of its own. The task goes on as itself, so that what
/// it records is recorded for its test.
///
/// Bodies that block would leave the pool no thread for those that they wait for. And tests that
/// compute keep all of the pool's busy, on a slow machine for half a minute: what measures a time, or
/// waits for a limited one, would measure that.
public func onThread<Result>(_ body: () async throws -> Result) async rethrows -> Result {
    try await withTaskExecutorPreference(OwnThread()) { try await body() }
}

/// Runs each job on a new thread: for a `Task`, which takes over no preference, as `onThread` does.
public final class OwnThread: TaskExecutor {
    public init() {}

    public func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        // The job is run once, here.
        Thread.detachNewThread { unsafe job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }
}
