import Glibc

/// The clock for deadlines. It never jumps, and reading it takes no system call.
enum MonotonicClock {
    static func nanoseconds() -> Int64 {
        var time = timespec()
        // Sound: clock_gettime fills in `time`. CLOCK_MONOTONIC exists, so the call cannot fail.
        _ = unsafe clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }

    /// The time that many seconds from now.
    static func deadline(inSeconds seconds: Double) -> Int64 {
        nanoseconds() + nanoseconds(seconds)
    }

    /// Converts seconds, limited to 10^9 (about 30 years), which also stands for infinity.
    static func nanoseconds(_ seconds: Double) -> Int64 {
        Int64(max(0, min(seconds, 1e9)) * 1e9)
    }
}
