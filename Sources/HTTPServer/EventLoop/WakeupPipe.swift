import Glibc
import Synchronization

/// Wakes a thread that sleeps in `poll`: a pipe with one end in the poll set.
final class Bell: Sendable {
    let listeningEnd: Int32
    /// Negative when there is no pipe, or none any more: by then its number may be a stranger's.
    private let ringingEnd: Mutex<Int32>

    init() {
        var ends: [Int32] = [-1, -1]
        // The array has the two places that the call fills.
        _ = unsafe ends.withUnsafeMutableBufferPointer { unsafe pipe($0.baseAddress!) }
        for end in ends where end >= 0 {
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
        }
        listeningEnd = ends[0]
        ringingEnd = Mutex(ends[1])
    }

    /// Whether the system had a pipe to give.
    var isSound: Bool { listeningEnd >= 0 }

    /// From any thread, also when nobody sleeps any more. A full pipe has woken the sleeper
    /// already.
    func ring() {
        ringingEnd.withLock { end in
            // One byte, of a value that lives for the call.
            _ = unsafe withUnsafeBytes(of: UInt8(1)) { unsafe write(end, $0.baseAddress, 1) }
        }
    }

    /// By the sleeper, before it sleeps again.
    func silence() {
        // The call writes no more than the buffer holds.
        unsafe withUnsafeTemporaryAllocation(byteCount: 64, alignment: 1) { buffer in
            while unsafe read(listeningEnd, buffer.baseAddress, buffer.count) > 0 {}
        }
    }

    /// By the sleeper, when it will not sleep again.
    func close() {
        guard isSound else { return }
        ringingEnd.withLock { end in
            Glibc.close(end)
            end = -1
        }
        Glibc.close(listeningEnd)
    }
}
