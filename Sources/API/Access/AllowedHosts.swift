/// The names and addresses by which the daemon may be called, and thereby which web pages may call
/// it: those that it would have served itself.
///
/// A page in an operator's browser can send requests to a daemon on the same machine. Two checks
/// keep it from doing so. Its requests carry an `Origin` that is not the daemon's. And a page whose
/// name an attacker lets resolve to the daemon's address (DNS rebinding), so that its origin looks
/// like the daemon's, sends a `Host` that is not one of the daemon's. Addresses can't be rebound,
/// names can: so a daemon that listens on every address admits every address, but no name that it
/// was not given.
public struct AllowedHosts: Sendable {
    /// A name or address without port, in lower case, and the port, empty for any.
    private struct Entry {
        var host: [UInt8]
        var port: [UInt8]
    }

    private let entries: [Entry]
    /// The authorities of pages that a proxy serves under a name of the operator's.
    private let configured: [[UInt8]]
    private let admitsAllAddresses: Bool
    private let admitsAll: Bool

    /// Every host, for a Unix socket: no browser reaches it.
    public static let any = AllowedHosts(
        listening: [], configured: [], admitsAllAddresses: true, admitsAll: true)

    /// - Parameters:
    ///   - listening: The names and addresses on which the daemon listens, IPv6 in brackets. Those
    ///     of loopback are always admitted. Ports don't count: a tunnel may have another one.
    ///   - configured: What the operator adds: names or addresses, with a port or without.
    ///   - admitsAllAddresses: Whether the daemon listens on all addresses of its machine.
    public init(listening: [String], configured: [String], admitsAllAddresses: Bool) {
        self.init(
            listening: listening, configured: configured, admitsAllAddresses: admitsAllAddresses,
            admitsAll: false)
    }

    private init(
        listening: [String], configured: [String], admitsAllAddresses: Bool, admitsAll: Bool
    ) {
        let fixed = ["localhost", "127.0.0.1", "[::1]"]
        var entries = (fixed + listening).map { Entry(host: Array($0.lowercased().utf8), port: []) }
        for text in configured.map({ $0.lowercased() }) {
            let authority = text.utf8Span.span
            let hostEnd = AllowedHosts.hostEnd(authority) ?? authority.count
            let bytes = Array(text.utf8)
            entries.append(
                Entry(host: Array(bytes[..<hostEnd]), port: Array(bytes[hostEnd...].dropFirst())))
        }
        self.entries = entries
        self.configured = configured.map { Array($0.lowercased().utf8) }
        self.admitsAllAddresses = admitsAllAddresses
        self.admitsAll = admitsAll
    }

    /// Whether an operator may name such a host: a name, an IPv4 address or an IPv6 address in
    /// brackets, with a port or without.
    public static func isAuthority(_ text: String) -> Bool {
        let bytes = text.utf8Span.span
        guard let end = hostEnd(bytes), end > 0 else { return false }
        if bytes[0] == UInt8(ascii: "[") { return isAddress(bytes, end: end) }
        for index in 0..<end {
            switch bytes[index] | 0x20 {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
                UInt8(ascii: "-"), UInt8(ascii: "."):
                continue
            default:
                guard bytes[index] == UInt8(ascii: "_") else { return false }
            }
        }
        return true
    }

    /// Whether a request with this `Host` is meant for this daemon. Allocates nothing.
    func admits(_ host: String?) -> Bool {
        if admitsAll { return true }
        guard let host else { return false }
        let bytes = host.utf8Span.span
        guard let end = AllowedHosts.hostEnd(bytes), end > 0 else { return false }
        for entry in entries where AllowedHosts.equal(bytes, 0..<end, entry.host) {
            if entry.port.isEmpty { return true }
            if end < bytes.count,
                AllowedHosts.equal(bytes, (end + 1)..<bytes.count, entry.port)
            {
                return true
            }
        }
        return admitsAllAddresses && AllowedHosts.isAddress(bytes, end: end)
    }

    /// Whether a page of this `Origin` was served by the daemon: by the host that the request
    /// names, or under one of the operator's names. `null` is no such origin. Allocates nothing.
    func isOwn(origin: String, host: String?) -> Bool {
        let bytes = origin.utf8Span.span
        guard let start = AllowedHosts.authorityStart(bytes) else { return false }
        let authority = start..<bytes.count
        if let host, !host.isEmpty, AllowedHosts.equal(bytes, authority, host.utf8Span.span) {
            return true
        }
        return configured.contains { AllowedHosts.equal(bytes, authority, $0) }
    }

    // MARK: Bytes

    /// Where the host ends and the colon before the port is, if there is a port; nil if the text is
    /// no authority: without user, with a port of digits.
    private static func hostEnd(_ bytes: Span<UInt8>) -> Int? {
        var end = 0
        if bytes.count > 0, bytes[0] == UInt8(ascii: "[") {
            while end < bytes.count, bytes[end] != UInt8(ascii: "]") { end += 1 }
            guard end < bytes.count else { return nil }
            end += 1
        } else {
            while end < bytes.count, bytes[end] != UInt8(ascii: ":") { end += 1 }
        }
        if end == bytes.count { return end }
        guard bytes[end] == UInt8(ascii: ":"), (1...5).contains(bytes.count - end - 1) else {
            return nil
        }
        for index in (end + 1)..<bytes.count
        where !(UInt8(ascii: "0")...UInt8(ascii: "9")).contains(bytes[index]) {
            return nil
        }
        return end
    }

    /// Whether the first bytes are an IPv4 address of four decimal numbers, or something in
    /// brackets of which only IPv6 addresses consist: a name never has brackets.
    private static func isAddress(_ bytes: Span<UInt8>, end: Int) -> Bool {
        if bytes[0] == UInt8(ascii: "[") {
            guard end > 3 else { return false }
            for index in 1..<(end - 1) {
                switch bytes[index] {
                case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "f"),
                    UInt8(ascii: "A")...UInt8(ascii: "F"), UInt8(ascii: ":"), UInt8(ascii: "."):
                    continue
                default: return false
                }
            }
            return true
        }
        var numbers = 0
        var index = 0
        while true {
            var value = 0
            let start = index
            while index < end, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(bytes[index]) {
                value = value * 10 + Int(bytes[index] - UInt8(ascii: "0"))
                index += 1
                if index - start > 3 { return false }
            }
            guard index > start, value <= 255 else { return false }
            numbers += 1
            if index == end { return numbers == 4 }
            guard bytes[index] == UInt8(ascii: ".") else { return false }
            index += 1
        }
    }

    /// Where the authority of an origin begins, behind `http://` or `https://`.
    private static func authorityStart(_ bytes: Span<UInt8>) -> Int? {
        var index = 0
        for expected in "http".utf8 {
            guard index < bytes.count, lowered(bytes[index]) == expected else { return nil }
            index += 1
        }
        if index < bytes.count, lowered(bytes[index]) == UInt8(ascii: "s") { index += 1 }
        for expected in "://".utf8 {
            guard index < bytes.count, bytes[index] == expected else { return nil }
            index += 1
        }
        return index
    }

    private static func equal(_ bytes: Span<UInt8>, _ range: Range<Int>, _ other: [UInt8]) -> Bool {
        equal(bytes, range, other.span)
    }

    /// Compares without regard to the case of ASCII letters.
    private static func equal(
        _ bytes: Span<UInt8>, _ range: Range<Int>, _ other: Span<UInt8>
    ) -> Bool {
        guard range.count == other.count else { return false }
        for index in 0..<other.count
        where lowered(bytes[range.lowerBound + index]) != lowered(other[index]) {
            return false
        }
        return true
    }

    private static func lowered(_ byte: UInt8) -> UInt8 {
        (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) ? byte | 0x20 : byte
    }
}
