internal import Glibc

/// Where the daemon listens: a numeric address or a local name, and a port; or a Unix socket.
struct ListenAddress: Equatable, Sendable {
    /// Without brackets: `127.0.0.1`, `::1`, `localhost`.
    var host: String
    /// 0 for any free one.
    var port: Int
    /// The file of a Unix socket, which has neither host nor port.
    var unixPath: String?

    init(host: String, port: Int) {
        self.host = host
        self.port = port
    }

    init(unixPath: String) {
        self.init(host: "", port: 0)
        self.unixPath = unixPath
    }

    /// `host:port`, with an IPv6 address in brackets; or `unix:` and the
    /// path of a socket; nil when `text` is something else. A host is required, so that leaving it
    /// out can't open the service to every network.
    init?(_ text: String) {
        if text.hasPrefix("unix:") {
            let path = String(text.dropFirst("unix:".count))
            guard path.hasPrefix("/"), SocketAddress(unixPath: path) != nil else { return nil }
            self.init(unixPath: path)
            return
        }
        let host: Substring
        let rest: Substring
        if text.hasPrefix("[") {
            guard let close = text.firstIndex(of: "]") else { return nil }
            host = text[text.index(after: text.startIndex)..<close]
            rest = text[text.index(after: close)...]
            guard ListenAddress.isNumericIPv6(String(host)) else { return nil }
        } else {
            guard let colon = text.firstIndex(of: ":") else { return nil }
            host = text[..<colon]
            rest = text[colon...]
        }
        guard !host.isEmpty, rest.hasPrefix(":"),
            rest.dropFirst().utf8.allSatisfy({
                (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0)
            }),
            host.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }),
            let port = UInt16(rest.dropFirst())
        else { return nil }
        self.init(host: String(host), port: Int(port))
    }

    var text: String {
        if let unixPath { return "unix:\(unixPath)" }
        return "\(bracketedHost):\(port)"
    }

    /// The host as it stands in a URL.
    var bracketedHost: String { host.contains(":") ? "[\(host)]" : host }

    /// Whether it stands for all addresses of the machine.
    var isWildcard: Bool {
        if let bytes = ListenAddress.ipv4Bytes(host) { return bytes == [0, 0, 0, 0] }
        guard let bytes = ListenAddress.ipv6Bytes(host) else { return false }
        let mapped: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0, 0, 0, 0]
        return bytes == [UInt8](repeating: 0, count: 16) || bytes == mapped
    }

    /// Whether only this machine can reach it. Other names than `localhost` count as reachable:
    /// what they resolve to is not decided here.
    var isLoopback: Bool {
        if unixPath != nil || host == "localhost" { return true }
        if let bytes = ListenAddress.ipv4Bytes(host) { return bytes[0] == 127 }
        guard let bytes = ListenAddress.ipv6Bytes(host) else { return false }
        let mapped = bytes.prefix(12) == [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF]
        return mapped ? bytes[12] == 127 : bytes == [UInt8](repeating: 0, count: 15) + [1]
    }

    private static func isNumericIPv6(_ text: String) -> Bool { ipv6Bytes(text) != nil }

    private static func ipv4Bytes(_ text: String) -> [UInt8]? {
        numericBytes(text, family: AF_INET, count: 4)
    }

    private static func ipv6Bytes(_ text: String) -> [UInt8]? {
        numericBytes(text, family: AF_INET6, count: 16)
    }

    private static func numericBytes(_ text: String, family: Int32, count: Int) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: count)
        // Sound: inet_pton(3) writes 4 bytes for AF_INET and 16 for AF_INET6, the buffer's size.
        let status = unsafe bytes.withUnsafeMutableBytes {
            unsafe inet_pton(family, text, $0.baseAddress)
        }
        return status == 1 ? bytes : nil
    }
}
