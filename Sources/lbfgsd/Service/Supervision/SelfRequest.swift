internal import Dispatch
internal import Glibc
internal import HTTPServer

/// Asks the daemon for `/livez` as a client would, over a connection from within: a unit with
/// `PrivateNetwork=` can reach no address, its own included.
struct SelfRequest: Sendable {
    enum Failure: Error, Equatable {
        case unreachable(ServerError)
        case noAnswer
        case badAnswer(String)
    }

    var server: HTTPServer
    /// For each of sending and receiving.
    var timeoutSeconds = 2

    func run() async throws {
        // The calls block, and the threads of the cooperative pool must not.
        try await withCheckedThrowingContinuation { continuation in
            DispatchQueue.global().async {
                continuation.resume(
                    with: Result { () throws(Failure) in
                        try exchange()
                    })
            }
        }
    }

    private func exchange() throws(Failure) {
        let descriptor: Int32
        do {
            descriptor = try server.connect()
        } catch {
            throw .unreachable(error)
        }
        defer { close(descriptor) }
        var deadline = timeval(tv_sec: timeoutSeconds, tv_usec: 0)
        let size = socklen_t(MemoryLayout<timeval>.size)
        // Sound: setsockopt(2) reads one timeval of the size that is given with it.
        unsafe setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &deadline, size)
        unsafe setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &deadline, size)
        try ask(on: descriptor)
    }

    /// Sends the request on a connected socket and reads the status line of the answer.
    private func ask(on descriptor: Int32) throws(Failure) {
        let request = Array(
            "GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".utf8)
        // Sound: the pointer and the count are of one live buffer, which send(2) only reads.
        let sent = unsafe request.withUnsafeBytes { bytes in
            unsafe send(descriptor, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL))
        }
        guard sent == request.count else { throw .noAnswer }
        var answer: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 1024)
        while answer.count < 12 {
            // Sound: recv(2) writes at most the buffer's count.
            let received = unsafe piece.withUnsafeMutableBytes { bytes in
                unsafe recv(descriptor, bytes.baseAddress, bytes.count, 0)
            }
            guard received > 0 else { throw .noAnswer }
            answer += piece.prefix(received)
        }
        // Any status counts: a daemon that refuses clients because of its limits is busy, not dead.
        let line = String(decoding: answer.prefix(12), as: UTF8.self)
        guard line.hasPrefix("HTTP/1.1 ") else { throw .badAnswer(line) }
    }
}
