import Glibc
import Synchronization

/// Wakes a thread that is blocked in `poll`: a pipe whose read end is in the polled set.
final class WakeupPipe: Sendable {
    let readEnd: Int32
    /// -1 if there is no pipe, or after `close`, when the number may belong to another file.
    private let writeEnd: Mutex<Int32>

    init() {
        var ends: [Int32] = [-1, -1]
        // Sound: pipe writes two descriptors, and the array has two elements.
        _ = unsafe ends.withUnsafeMutableBufferPointer { unsafe pipe($0.baseAddress!) }
        for end in ends where end >= 0 {
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
        }
        readEnd = ends[0]
        writeEnd = Mutex(ends[1])
    }

    /// False if the system could not create a pipe.
    var isOpen: Bool { readEnd >= 0 }

    /// Wakes the thread, or prevents its next `poll` from blocking. May be called from any thread,
    /// also after `close`. If the pipe is full, the thread has been woken already.
    func wake() {
        writeEnd.withLock { end in
            // Sound: write reads one byte, of a value that lives during the call.
            _ = unsafe withUnsafeBytes(of: UInt8(1)) { unsafe write(end, $0.baseAddress, 1) }
        }
    }

    /// Empties the pipe. Called by the woken thread before it polls again.
    func drain() {
        // Sound: read writes at most the buffer's size.
        unsafe withUnsafeTemporaryAllocation(byteCount: 64, alignment: 1) { buffer in
            while unsafe read(readEnd, buffer.baseAddress, buffer.count) > 0 {}
        }
    }

    /// Called by the polling thread after its last `poll`.
    func close() {
        guard isOpen else { return }
        writeEnd.withLock { end in
            Glibc.close(end)
            end = -1
        }
        Glibc.close(readEnd)
    }
}
