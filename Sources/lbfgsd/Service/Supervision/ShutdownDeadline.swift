internal import Foundation
internal import Glibc

/// Ends the process when stopping takes too long. It runs on a thread of its own and waits for
/// nothing else, so that no hanging part can stop it. Every acknowledged result is on disk.
enum ShutdownDeadline {
    static func begin(seconds: Int, whenPassed report: @escaping @Sendable () -> Void) {
        Thread.detachNewThread {
            Thread.sleep(forTimeInterval: Double(seconds))
            report()
            _exit(ExitStatus.failure.rawValue)
        }
    }
}
