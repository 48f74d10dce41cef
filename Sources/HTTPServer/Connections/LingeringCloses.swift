import Glibc
import Synchronization

/// Sockets whose response is on its way while their client may still be sending.
///
/// Closing a socket on which bytes lie unread resets the connection, and a reset may overtake the
/// response: the client would see a broken pipe instead of, say, 413. So what it sends is read and
/// thrown away for a moment. (nginx calls this a lingering close.)
final class LingeringSockets: Sendable {
    private struct Socket {
        var descriptor: Int32
        var deadline: Int64
        var bytesLeft: Int
    }

    private static let socketsMax = 128
    private static let seconds = 2.0
    private static let bytesMax = 64 << 20

    private let sockets = Mutex<[Socket]>([])

    /// Owns the descriptor from here on. A negative one is no socket.
    func add(_ descriptor: Int32) {
        guard descriptor >= 0 else { return }
        let isTaken = sockets.withLock { sockets in
            guard sockets.count < Self.socketsMax else { return false }
            let deadline = Monotonic.after(seconds: Self.seconds)
            sockets.append(
                Socket(descriptor: descriptor, deadline: deadline, bytesLeft: Self.bytesMax))
            return true
        }
        if !isTaken { close(descriptor) }
    }

    func watched() -> [pollfd] {
        sockets.withLock { sockets in
            sockets.map { pollfd(fd: $0.descriptor, events: Int16(POLLIN), revents: 0) }
        }
    }

    /// Reads from those that are readable, and closes those that have ended or had their time.
    func drain(_ watched: ArraySlice<pollfd>) {
        if watched.isEmpty { return }
        let readable = Set(watched.filter { $0.revents != 0 }.map(\.fd))
        let now = Monotonic.nanoseconds()
        sockets.withLock { sockets in
            sockets.removeAll { socket in
                var isOver = now >= socket.deadline
                if readable.contains(socket.descriptor) {
                    let count = Self.discard(socket.descriptor)
                    isOver = isOver || count == 0 || count > socket.bytesLeft
                }
                if isOver { close(socket.descriptor) }
                return isOver
            }
            for index in sockets.indices where readable.contains(sockets[index].descriptor) {
                sockets[index].bytesLeft -= Self.pieceBytes
            }
        }
    }

    func closeAll() {
        sockets.withLock { sockets in
            for socket in sockets { close(socket.descriptor) }
            sockets = []
        }
    }

    private static let pieceBytes = 256 * 1024

    /// Returns the number of bytes thrown away; 0 at the end of the stream or after an error.
    private static func discard(_ descriptor: Int32) -> Int {
        // With MSG_TRUNC a TCP socket throws the bytes away without copying them anywhere, so the
        // buffer may be none.
        let flags = Int32(MSG_TRUNC) | Int32(MSG_DONTWAIT)
        let count = recv(descriptor, nil, pieceBytes, flags)
        return count < 0 && errno == EAGAIN ? 1 : max(0, count)
    }
}
