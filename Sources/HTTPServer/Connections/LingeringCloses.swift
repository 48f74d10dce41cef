import Glibc
import Synchronization

/// Sockets to which a last response was sent while their clients may still be sending.
///
/// Closing a socket that has unread data resets the connection, and the reset may overtake the
/// response: the client would report a broken pipe instead of, say, 413. So incoming data is
/// discarded for a short time before the socket is closed. (nginx calls this a lingering close.)
final class LingeringCloses: Sendable {
    private struct Socket {
        var descriptor: Int32
        var deadline: Int64
        var bytesLeft: Int
    }

    private static let socketsMax = 128
    private static let seconds = 2.0
    /// The most bytes discarded for one socket.
    private static let bytesMax = 64 << 20
    /// The most bytes discarded by one call.
    private static let bytesPerReadMax = 256 * 1024

    private let sockets = Mutex<[Socket]>([])

    /// Takes ownership of the descriptor. A negative one is ignored.
    func add(_ descriptor: Int32) {
        guard descriptor >= 0 else { return }
        let isAdded = sockets.withLock { sockets in
            guard sockets.count < Self.socketsMax else { return false }
            sockets.append(
                Socket(
                    descriptor: descriptor,
                    deadline: MonotonicClock.deadline(inSeconds: Self.seconds),
                    bytesLeft: Self.bytesMax))
            return true
        }
        if !isAdded { close(descriptor) }
    }

    /// The entries to pass to `poll`.
    func pollEntries() -> [pollfd] {
        sockets.withLock { sockets in
            sockets.map { pollfd(fd: $0.descriptor, events: Int16(POLLIN), revents: 0) }
        }
    }

    /// Discards input of the sockets that `poll` reported readable, and closes those that are at
    /// end of stream, past their deadline or over the limit.
    func discardInput(_ polled: ArraySlice<pollfd>) {
        if polled.isEmpty { return }
        let readable = Set(polled.filter { $0.revents != 0 }.map(\.fd))
        let now = MonotonicClock.nanoseconds()
        sockets.withLock { sockets in
            sockets.removeAll { socket in
                var isDone = now >= socket.deadline
                if readable.contains(socket.descriptor) {
                    let count = Self.discard(socket.descriptor)
                    isDone = isDone || count == 0 || count > socket.bytesLeft
                }
                if isDone { close(socket.descriptor) }
                return isDone
            }
            for index in sockets.indices where readable.contains(sockets[index].descriptor) {
                sockets[index].bytesLeft -= Self.bytesPerReadMax
            }
        }
    }

    func closeAll() {
        sockets.withLock { sockets in
            for socket in sockets { close(socket.descriptor) }
            sockets = []
        }
    }

    /// Returns the number of discarded bytes; 0 at the end of the stream or after an error.
    private static func discard(_ descriptor: Int32) -> Int {
        // With MSG_TRUNC a TCP socket discards the bytes without copying them, so the buffer may be
        // nil.
        let flags = Int32(MSG_TRUNC) | Int32(MSG_DONTWAIT)
        let count = recv(descriptor, nil, bytesPerReadMax, flags)
        return count < 0 && errno == EAGAIN ? 1 : max(0, count)
    }
}
