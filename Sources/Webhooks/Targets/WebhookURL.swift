/// A parsed URL that webhooks can be sent to.
///
/// It is parsed here, with a grammar narrower than RFC 3986's, and libcurl receives the URL that is
/// composed from the parts: if two parsers read one text differently, the policy checked by the
/// first can be bypassed in the second. User names, fragments and non-ASCII characters are not
/// accepted, and a host is a name or an address in its usual notation.
public struct WebhookURL: Equatable, Sendable {
    public enum Scheme: String, Sendable {
        case http, https

        /// The port of a URL without one.
        public var defaultPort: Int {
            switch self {
            case .http: 80
            case .https: 443
            }
        }
    }

    /// The longest accepted text, in bytes.
    public static let lengthMax = 2048

    public let scheme: Scheme
    public let host: WebhookHost
    public let port: Int
    /// Path and query as they were written, beginning with `/`.
    public let target: String

    public init(text: String) throws(WebhookTargetError) {
        guard text.utf8.count <= Self.lengthMax else { throw .malformed("it is too long") }
        guard text.utf8.allSatisfy({ Self.isAllowed($0) }) else {
            throw .malformed("it has characters that a URL can't have unless they are encoded")
        }
        guard let slashes = text.firstRange(of: "://"),
            let scheme = Scheme(rawValue: text[..<slashes.lowerBound].lowercased())
        else { throw .malformed("it must begin with https://") }
        let rest = text[slashes.upperBound...]
        guard !rest.contains("#") else { throw .malformed("it must not have a fragment") }
        let end = rest.firstIndex { $0 == "/" || $0 == "?" } ?? rest.endIndex
        guard !rest[..<end].contains("@") else {
            throw .malformed("it must not have a user or a password")
        }
        let (host, port) = try Self.hostAndPort(rest[..<end])
        self.scheme = scheme
        self.host = host
        self.port = port ?? scheme.defaultPort
        target = (rest[end...].hasPrefix("/") ? "" : "/") + rest[end...]
        guard Self.hasWholeEscapes(target) else {
            throw .malformed("a % must be followed by two hexadecimal digits")
        }
    }

    /// The URL in canonical notation.
    public var text: String {
        let authority = port == scheme.defaultPort ? "\(host)" : "\(host):\(port)"
        return "\(scheme.rawValue)://\(authority)\(target)"
    }

    /// Parses `host`, `host:port`, `[address]` or `[address]:port`.
    static func hostAndPort(
        _ text: Substring
    ) throws(WebhookTargetError) -> (WebhookHost, port: Int?) {
        var hostEnd = text.endIndex
        if text.hasPrefix("[") {
            guard let bracket = text.firstIndex(of: "]") else {
                throw .malformed("its address has no closing bracket")
            }
            hostEnd = text.index(after: bracket)
        } else if let colon = text.firstIndex(of: ":") {
            hostEnd = colon
        }
        let host = try WebhookHost(text: text[..<hostEnd])
        if hostEnd == text.endIndex { return (host, nil) }
        let digits = text[hostEnd...].dropFirst()
        guard text[hostEnd] == ":", (1...5).contains(digits.utf8.count),
            digits.utf8.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }),
            let port = Int(digits), (1...65535).contains(port)
        else { throw .malformed("its port must be a number from 1 to 65535") }
        return (host, port)
    }

    /// The characters of RFC 3986, section 2.
    private static func isAllowed(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: "-._~:/?#[]@!$&'()*+,;=%".utf8.contains(byte)
        }
    }

    private static func hasWholeEscapes(_ text: String) -> Bool {
        text.utf8.split(separator: UInt8(ascii: "%"), omittingEmptySubsequences: false)
            .dropFirst()
            .allSatisfy { piece in
                piece.count >= 2 && piece.prefix(2).allSatisfy { Character(.init($0)).isHexDigit }
            }
    }
}
