internal import Foundation
internal import Glibc

/// Ends the process when stopping takes too long, whatever it is that hangs: it runs on a thread of
/// its own and asks nobody. What was acknowledged is on disk by then.
enum ShutdownDeadline {
    static func begin(seconds: Int, whenPassed report: @escaping @Sendable () -> Void) {
        Thread.detachNewThread {
            Thread.sleep(forTimeInterval: Double(seconds))
            report()
            _exit(ExitStatus.failure.rawValue)
        }
    }
}
