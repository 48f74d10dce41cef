import Glibc

/// The clock for deadlines: it never jumps, and reading it costs no system call.
enum Monotonic {
    static func nanoseconds() -> Int64 {
        var time = timespec()
        // `time` is ours for the duration of the call; CLOCK_MONOTONIC exists, so it cannot fail.
        _ = unsafe clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }

    static func after(seconds: Double) -> Int64 { nanoseconds() + nanoseconds(seconds) }

    /// Thirty years stand for anything longer, infinity included.
    static func nanoseconds(_ seconds: Double) -> Int64 {
        Int64(max(0, min(seconds, 1e9)) * 1e9)
    }
}
