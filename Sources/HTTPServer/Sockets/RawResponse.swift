import Glibc
import HTTPTypes

/// A response written directly to a socket, for connections that libmicrohttpd cannot answer: those
/// turned away before it sees them, and those whose request is incomplete at its deadline.
enum RawResponse {
    /// The response as HTTP/1.1 bytes, with `Connection: close`. Only `.bytes` bodies are sent.
    static func serialized(_ response: Response, to head: RequestHead) -> [UInt8] {
        var header = "HTTP/1.1 \(response.status.code) \(response.status.reasonPhrase)\r\n"
        for field in response.headerFields where !ServerManagedFields.contains(field.name) {
            header += "\(field.name): \(field.value)\r\n"
        }
        header += "X-Request-Id: \(head.requestID)\r\n"
        var body: [UInt8] = []
        if case .bytes(let bytes) = response.body { body = bytes }
        header += "Content-Length: \(body.count)\r\nConnection: close\r\n\r\n"
        return Array(header.utf8) + body
    }

    /// Sends as many bytes as the socket accepts without blocking, then shuts down its sending
    /// side. Errors are ignored: a client that is gone needs no response.
    static func send(_ bytes: [UInt8], to socket: Int32) {
        // Sound: the buffer lives during the call. Without MSG_NOSIGNAL a disconnected client would
        // raise SIGPIPE.
        _ = unsafe bytes.withUnsafeBytes { buffer in
            unsafe Glibc.send(
                socket, buffer.baseAddress, buffer.count,
                Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
        }
        shutdown(socket, Int32(SHUT_WR))
    }
}
