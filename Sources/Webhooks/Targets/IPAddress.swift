internal import Glibc

/// An address that a connection can be made to.
public enum IPAddress: Hashable, Sendable {
    case v4(UInt32)
    case v6(UInt128)

    /// Reads `192.0.2.1` or `2001:db8::1` as `inet_pton` does: no short, octal or hexadecimal
    /// IPv4, no zone.
    public init?(text: String) {
        var bytes = [UInt8](repeating: 0, count: 16)
        // Sound: inet_pton writes 4 bytes for AF_INET and 16 for AF_INET6; there are 16.
        if unsafe inet_pton(AF_INET, text, &bytes) == 1 {
            self = .v4(bytes[..<4].reduce(0) { $0 << 8 | UInt32($1) })
        } else if unsafe inet_pton(AF_INET6, text, &bytes) == 1 {
            self = .v6(bytes.reduce(0) { $0 << 8 | UInt128($1) })
        } else {
            return nil
        }
    }

    /// What is really connected to: the IPv4 address in a v4-mapped one (`::ffff:192.0.2.1`).
    public var unwrapped: IPAddress {
        switch self {
        case .v6(let bits) where bits >> 32 == 0xffff: .v4(UInt32(truncatingIfNeeded: bits))
        case .v4, .v6: self
        }
    }
}

extension IPAddress: CustomStringConvertible {
    public var description: String {
        switch self {
        case .v4(let bits):
            return (0..<4).map { String(bits >> (24 - 8 * $0) & 0xff) }.joined(separator: ".")
        case .v6(let bits):
            let bytes = (0..<16).map { UInt8(truncatingIfNeeded: bits >> (120 - 8 * $0)) }
            var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
            // Sound: it reads 16 bytes, and writes no more than the size that is passed, the NUL
            // among them.
            guard unsafe inet_ntop(AF_INET6, bytes, &text, socklen_t(text.count)) != nil else {
                return "unknown"
            }
            return String(
                decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        }
    }
}

/// A range of addresses in CIDR notation.
public struct IPNetwork: Hashable, Sendable {
    public let address: IPAddress
    public let prefixLength: Int

    /// Reads `10.0.0.0/8`, `fd00::/8` or a single address. Bits behind the prefix must be zero:
    /// `10.1.2.3/8` may be meant as one address or as sixteen million. A v4-mapped network is the
    /// IPv4 network that it maps.
    public init?(text: String) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let written = IPAddress(text: String(parts[0])) else { return nil }
        let address = written.unwrapped
        let mapped = address != written ? 96 : 0
        var length = address.bitCount
        if parts.count == 2 {
            guard (1...3).contains(parts[1].utf8.count),
                parts[1].utf8.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }),
                let number = Int(parts[1])
            else { return nil }
            length = number - mapped
        }
        guard (0...address.bitCount).contains(length) else { return nil }
        self.init(address: address, prefixLength: length)
        guard address.leadingBits(length) == address.bits else { return nil }
    }

    private init(address: IPAddress, prefixLength: Int) {
        self.address = address
        self.prefixLength = prefixLength
    }

    /// Addresses of the other family are never contained.
    public func contains(_ address: IPAddress) -> Bool {
        address.bitCount == self.address.bitCount
            && address.leadingBits(prefixLength) == self.address.bits
    }
}

extension IPNetwork: CustomStringConvertible {
    public var description: String { "\(address)/\(prefixLength)" }
}

extension IPAddress {
    fileprivate var bitCount: Int {
        switch self {
        case .v4: 32
        case .v6: 128
        }
    }

    fileprivate var bits: UInt128 {
        switch self {
        case .v4(let bits): UInt128(bits)
        case .v6(let bits): bits
        }
    }

    /// The address with all bits behind the first `count` cleared.
    fileprivate func leadingBits(_ count: Int) -> UInt128 {
        // In Swift a shift by the whole width gives zero.
        (bits >> UInt128(bitCount - count)) << UInt128(bitCount - count)
    }
}
