import Foundation

/// A client on one socket that sends exactly the given bytes: a real client library would not send
/// the malformed requests of these tests. It blocks, so it needs its own thread.
final class Client {
    struct Reply: Equatable {
        var status: Int
        var fields: [String: String]
        var body: [UInt8]

        var text: String { String(decoding: body, as: UTF8.self) }
        var closes: Bool { fields["connection"] == "close" }
    }

    enum Failure: Error {
        case cannotConnect(Int32)
        case closed(after: String)
        case timedOut(after: String)
        case notHTTP(String)
    }

    let socket: Int32
    private var received: [UInt8] = []

    init(port: Int) throws {
        socket = Foundation.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let result = unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe connect(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard result == 0 else { throw Failure.cannotConnect(errno) }
        setTimeout(seconds: 10)
    }

    /// Takes over a connected socket.
    init(connected descriptor: Int32) {
        socket = descriptor
        setTimeout(seconds: 10)
    }

    init(path: String) throws {
        socket = Foundation.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        var address = unixAddress(path)
        let result = unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe connect(socket, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard result == 0 else { throw Failure.cannotConnect(errno) }
        setTimeout(seconds: 10)
    }

    deinit { close(socket) }

    func setTimeout(seconds: Double) {
        var time = timeval()
        time.tv_sec = Int(seconds)
        time.tv_usec = Int((seconds - seconds.rounded(.down)) * 1e6)
        let size = socklen_t(MemoryLayout<timeval>.size)
        _ = unsafe setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &time, size)
    }

    /// Returns false when the server has closed its end.
    @discardableResult
    func send(_ bytes: [UInt8]) -> Bool {
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

    @discardableResult
    func send(_ text: String) -> Bool { send(Array(text.utf8)) }

    /// Shuts down the sending side.
    func finishSending() { shutdown(socket, Int32(SHUT_WR)) }

    /// Makes the next close send a reset, as when the client crashes.
    func resetOnClose() {
        var option = linger(l_onoff: 1, l_linger: 0)
        let size = socklen_t(MemoryLayout<linger>.size)
        _ = unsafe setsockopt(socket, SOL_SOCKET, SO_LINGER, &option, size)
    }

    // MARK: Reading

    /// Sends a request and reads the reply.
    func ask(
        _ method: String, _ target: String, fields: [String] = [], body: String? = nil
    ) throws -> Reply {
        var text = "\(method) \(target) HTTP/1.1\r\nHost: test\r\n"
        for field in fields { text += field + "\r\n" }
        if body != nil, !fields.contains(where: { $0.hasPrefix("Content-Type") }) {
            text += "Content-Type: application/json\r\n"
        }
        if let body { text += "Content-Length: \(body.utf8.count)\r\n" }
        send(text + "\r\n" + (body ?? ""))
        return try reply(hasBody: method != "HEAD")
    }

    /// The next response, whole. Informational ones are returned like any other.
    func reply(hasBody: Bool = true) throws -> Reply {
        let header = try headerLines()
        let words = header[0].split(separator: " ")
        guard words.count >= 2, words[0].hasPrefix("HTTP/1."), let status = Int(words[1]) else {
            throw Failure.notHTTP(header[0])
        }
        var fields: [String: String] = [:]
        for line in header.dropFirst() {
            let colon = line.firstIndex(of: ":") ?? line.endIndex
            fields[line[..<colon].lowercased()] = line[colon...].dropFirst()
                .trimmingCharacters(in: .whitespaces)
        }
        var reply = Reply(status: status, fields: fields, body: [])
        if !hasBody || status < 200 || status == 204 { return reply }
        if fields["transfer-encoding"] == "chunked" {
            while let chunk = try chunk() { reply.body += chunk }
        } else if let length = fields["content-length"].flatMap({ Int($0) }) {
            reply.body = try take(length)
        } else {
            reply.body = try rest()
        }
        return reply
    }

    /// The status line and the header lines, without the empty one.
    func headerLines() throws -> [String] {
        var lines: [String] = []
        while true {
            let line = try line()
            if line.isEmpty, !lines.isEmpty { return lines }
            lines.append(line)
        }
    }

    /// The next chunk of a chunked body, or `nil` for its end.
    func chunk() throws -> [UInt8]? {
        let size = try line()
        guard let count = Int(size, radix: 16) else { throw Failure.notHTTP(size) }
        let bytes = try take(count)
        _ = try line()
        return count == 0 ? nil : bytes
    }

    func line() throws -> String {
        while true {
            if let end = received.firstIndex(of: 10) {
                let line = received[..<end].filter { $0 != 13 }
                received.removeFirst(end + 1)
                return String(decoding: line, as: UTF8.self)
            }
            try fill()
        }
    }

    func take(_ count: Int) throws -> [UInt8] {
        while received.count < count { try fill() }
        defer { received.removeFirst(count) }
        return Array(received[..<count])
    }

    /// Everything until the server closes.
    func rest() throws -> [UInt8] {
        while true {
            do { try fill() } catch Failure.closed {
                defer { received = [] }
                return received
            }
        }
    }

    /// Whether the server has closed, or closes within the time.
    func isClosed(withinSeconds seconds: Double = 2) -> Bool {
        setTimeout(seconds: seconds)
        defer { setTimeout(seconds: 10) }
        do {
            while true { try fill() }
        } catch Failure.closed {
            return true
        } catch {
            return false
        }
    }

    private func fill() throws {
        let size = 64 * 1024
        let count = unsafe withUnsafeTemporaryAllocation(byteCount: size, alignment: 1) { buffer in
            let count = unsafe recv(socket, buffer.baseAddress, buffer.count, 0)
            if count > 0 { unsafe received.append(contentsOf: buffer[..<count]) }
            return count
        }
        if count > 0 { return }
        let before = String(decoding: received.prefix(200), as: UTF8.self)
        if count < 0, errno == EAGAIN { throw Failure.timedOut(after: before) }
        throw Failure.closed(after: before)
    }
}

func unixAddress(_ path: String) -> sockaddr_un {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    unsafe withUnsafeMutableBytes(of: &address.sun_path) { buffer in
        unsafe buffer.copyBytes(from: Array(path.utf8))
    }
    return address
}
