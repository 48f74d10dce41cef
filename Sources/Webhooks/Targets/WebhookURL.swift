/// A URL that webhooks can be sent to, in parts.
///
/// It is parsed here, by a grammar narrower than RFC 3986's, and put together again for the
/// library that connects: two parsers that understand one text differently are how a check is got
/// around. There is no user, no fragment, no other alphabet than ASCII, and a host is a name or an
/// address in its one usual notation.
public struct WebhookURL: Equatable, Sendable {
    public enum Scheme: String, Sendable {
        case http, https

        /// What a URL without a port means.
        public var defaultPort: Int {
            switch self {
            case .http: 80
            case .https: 443
            }
        }
    }

    /// The longest text that is read.
    public static let lengthMax = 2048

    public let scheme: Scheme
    public let host: WebhookHost
    public let port: Int
    /// Path and query, as they were written; at least `/`.
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

    /// The URL in its one notation.
    public var text: String {
        let authority = port == scheme.defaultPort ? "\(host)" : "\(host):\(port)"
        return "\(scheme.rawValue)://\(authority)\(target)"
    }

    /// Reads `host`, `host:port`, `[address]` or `[address]:port`.
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

    /// RFC 3986's characters, section 2.
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

/// The host of a URL: a name in lower case, or an address.
public enum WebhookHost: Hashable, Sendable {
    case name(String)
    case address(IPAddress)

    /// Reads a name of letters, digits and hyphens, an IPv4 address, or an IPv6 address in
    /// brackets.
    init(text: Substring) throws(WebhookTargetError) {
        if text.hasPrefix("["), text.hasSuffix("]"), text.contains(":") {
            guard let address = IPAddress(text: String(text.dropFirst().dropLast())) else {
                throw .malformed("its address can't be read")
            }
            self = .address(address)
            return
        }
        let name = text.lowercased()
        let labels = name.split(separator: ".", omittingEmptySubsequences: false)
        guard name.utf8.count <= 253, labels.allSatisfy({ Self.isLabel($0) }),
            let last = labels.last
        else {
            throw .malformed(
                "its host must be a name of letters, digits and hyphens, or an address")
        }
        // Resolvers take 127.1, 0x7f000001 and 2130706433 for addresses: only the usual
        // notation is one here, and the others are nothing.
        if last.allSatisfy(\.isNumber) || last.hasPrefix("0x") {
            guard case .v4? = IPAddress(text: name), let address = IPAddress(text: name) else {
                throw .malformed("its host must be a name, or an address like 192.0.2.1")
            }
            self = .address(address)
        } else {
            self = .name(name)
        }
    }

    private static func isLabel(_ label: Substring) -> Bool {
        (1...63).contains(label.utf8.count) && label.first != "-" && label.last != "-"
            && label.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
                    UInt8(ascii: "-"):
                    true
                default: false
                }
            }
    }
}

extension WebhookHost: CustomStringConvertible {
    /// As in a URL.
    public var description: String {
        switch self {
        case .name(let name): name
        case .address(let address):
            if case .v6 = address { "[\(address)]" } else { "\(address)" }
        }
    }
}
