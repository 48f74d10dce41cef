import Glibc
import HTTPTypes

/// A response written straight to a socket, for clients that never became, or no longer are, a
/// request the library could answer.
enum RawReply {
    static func bytes(_ response: Response) -> [UInt8] {
        var head = "HTTP/1.1 \(response.status.code) \(response.status.reasonPhrase)\r\n"
        for field in response.headerFields where !ResponseFields.areServers(field.name) {
            head += "\(field.name): \(field.value)\r\n"
        }
        var body: [UInt8] = []
        if case .bytes(let bytes) = response.body { body = bytes }
        head += "Content-Length: \(body.count)\r\nConnection: close\r\n\r\n"
        return Array(head.utf8) + body
    }

    /// Sends what the socket takes at once and then the end of the stream. A client that has left
    /// is no matter.
    static func send(_ bytes: [UInt8], to socket: Int32) {
        // The buffer lives for the call; MSG_NOSIGNAL, because a vanished client must not kill us.
        _ = unsafe bytes.withUnsafeBytes { buffer in
            unsafe Glibc.send(
                socket, buffer.baseAddress, buffer.count,
                Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
        }
        shutdown(socket, Int32(SHUT_WR))
    }
}

/// Header fields that a handler does not set.
enum ResponseFields {
    /// Framing, and what the library writes itself.
    static func areServers(_ name: HTTPField.Name) -> Bool {
        switch name.canonicalName {
        case "content-length", "transfer-encoding", "connection", "date", "keep-alive": true
        default: false
        }
    }
}
