import Foundation
import Synchronization

/// A server made of one listening socket, for the length of a test. It reads each request whole
/// and lets the test answer it byte by byte: a real server would not send what these tests are
/// about. Each wait has a limit.
final class Receiver: Sendable {
    struct Request: Equatable {
        /// e.g. `POST /hook HTTP/1.1`
        var line: String
        var fields: [String: String]
        var body: [UInt8]
    }

    /// A request's connection, on a thread of its own.
    struct Connection {
        let socket: Int32
        let request: Request

        /// Returns false when the sender has gone.
        @discardableResult
        func send(_ text: String) -> Bool {
            let bytes = Array(text.utf8)
            var sent = 0
            while sent < bytes.count {
                let count = unsafe bytes[sent...].withUnsafeBytes {
                    unsafe Foundation.send(socket, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
                }
                if count <= 0 { return false }
                sent += count
            }
            return true
        }

        /// Sends the same again and again until the sender goes away or the time is over. Returns
        /// how many bytes were sent.
        func sendEndlessly(_ text: String, everySeconds pause: Double = 0) -> Int {
            let end = Date().addingTimeInterval(10)
            var count = 0
            while Date() < end, send(text) {
                count += text.utf8.count
                if pause > 0 { usleep(UInt32(pause * 1e6)) }
            }
            return count
        }

        /// Waits until the sender goes away, or the time is over.
        func waitUntilClosed() { while !read(socket, 4096).isEmpty {} }
    }

    typealias Answer = @Sendable (Connection) -> Void

    private struct State {
        var requests: [Request] = []
        var connections = 0
        var isStopped = false
    }

    let port: Int
    private let listener: Int32
    private let state = Mutex(State())

    /// Listens on 127.0.0.1.
    init(answer: @escaping Answer = respond("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK"))
        throws
    {
        listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let descriptor = listener
        // A tick, so that the accepting thread sees when it is to end.
        setTimeout(descriptor, seconds: 0.05)
        let isListening = unsafe withUnsafeMutablePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe bind(descriptor, $0, length) == 0 && listen(descriptor, 64) == 0
                    && getsockname(descriptor, $0, &length) == 0
            }
        }
        guard isListening else { throw POSIXError(.EADDRINUSE) }
        port = Int(UInt16(bigEndian: address.sin_port))
        Thread.detachNewThread { [self] in accept(answer) }
    }

    func stop() { state.withLock { $0.isStopped = true } }

    var requests: [Request] { state.withLock { $0.requests } }
    /// Those that were made, with a request or without.
    var connections: Int { state.withLock { $0.connections } }

    private func accept(_ answer: @escaping Answer) {
        // Also if the test doesn't stop it.
        let end = Date().addingTimeInterval(60)
        while Date() < end, !state.withLock({ $0.isStopped }) {
            let descriptor = Foundation.accept(listener, nil, nil)
            if descriptor < 0 { continue }
            state.withLock { $0.connections += 1 }
            Thread.detachNewThread { [self] in
                serve(descriptor, answer)
                close(descriptor)
            }
        }
        close(listener)
    }

    private func serve(_ descriptor: Int32, _ answer: Answer) {
        setTimeout(descriptor, seconds: 10)
        var bytes: [UInt8] = []
        let separator = Array("\r\n\r\n".utf8)
        while bytes.firstRange(of: separator) == nil {
            let more = read(descriptor, 4096)
            if more.isEmpty { return }
            bytes += more
        }
        guard let end = bytes.firstRange(of: separator) else { return }
        let lines = String(decoding: bytes[..<end.lowerBound], as: UTF8.self)
            .components(separatedBy: "\r\n")
        var request = Request(line: lines[0], fields: [:], body: Array(bytes[end.upperBound...]))
        for line in lines.dropFirst() {
            let parts = line.split(separator: ":", maxSplits: 1)
            guard parts.count == 2 else { continue }
            request.fields[parts[0].lowercased()] = parts[1].trimmingCharacters(in: .whitespaces)
        }
        let length = request.fields["content-length"].flatMap { Int($0) } ?? 0
        while request.body.count < length {
            let more = read(descriptor, 65536)
            if more.isEmpty { return }
            request.body += more
        }
        state.withLock { $0.requests.append(request) }
        answer(Connection(socket: descriptor, request: request))
    }
}

/// Answers every request with this text, and closes.
func respond(_ text: String) -> Receiver.Answer {
    { connection in
        connection.send(text)
        shutdown(connection.socket, Int32(SHUT_WR))
        connection.waitUntilClosed()
    }
}

private func setTimeout(_ descriptor: Int32, seconds: Double) {
    var time = timeval()
    time.tv_sec = Int(seconds)
    time.tv_usec = Int((seconds - seconds.rounded(.down)) * 1e6)
    let size = socklen_t(MemoryLayout<timeval>.size)
    for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
        _ = unsafe setsockopt(descriptor, SOL_SOCKET, option, &time, size)
    }
}

/// Nothing at the end, or when the time is over.
private func read(_ descriptor: Int32, _ countMax: Int) -> [UInt8] {
    unsafe withUnsafeTemporaryAllocation(byteCount: countMax, alignment: 1) { buffer in
        let count = unsafe recv(descriptor, buffer.baseAddress, buffer.count, 0)
        return unsafe Array(buffer[..<max(0, count)])
    }
}
