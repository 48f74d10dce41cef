internal import Foundation

/// Runs `body`, and what it awaits, on threads of its own. The task stays the same, so that issues
/// are recorded for its test.
///
/// In the cooperative pool, a body that blocks could leave no thread for the task that it waits
/// for. And tests that compute occupy the whole pool, on a slow machine for half a minute, which
/// would spoil tests that measure a time or wait with a limit.
public func onThread<Result>(_ body: () async throws -> Result) async rethrows -> Result {
    try await withTaskExecutorPreference(OwnThread()) { try await body() }
}

/// Runs each job on a new thread. For a `Task`, which does not inherit the preference of
/// `onThread`.
public final class OwnThread: TaskExecutor {
    public init() {}

    public func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        // The job is run once, here.
        Thread.detachNewThread { unsafe job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }
}
