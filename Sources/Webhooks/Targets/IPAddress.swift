internal import Glibc

/// An IPv4 or IPv6 address.
public enum IPAddress: Hashable, Sendable {
    case v4(UInt32)
    case v6(UInt128)

    /// Parses `192.0.2.1` or `2001:db8::1` as `inet_pton` does. Abbreviated, octal and hexadecimal
    /// IPv4 notations and IPv6 zones are not accepted.
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

    /// The address that a connection really goes to: for an IPv4-mapped address
    /// (`::ffff:192.0.2.1`) the IPv4 address, for others the address itself.
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
            // Sound: inet_ntop reads 16 bytes, and writes no more than the size that is passed,
            // including the NUL.
            guard unsafe inet_ntop(AF_INET6, bytes, &text, socklen_t(text.count)) != nil else {
                return "unknown"
            }
            return String(
                decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        }
    }
}

extension IPAddress {
    var bitCount: Int {
        switch self {
        case .v4: 32
        case .v6: 128
        }
    }

    var bits: UInt128 {
        switch self {
        case .v4(let bits): UInt128(bits)
        case .v6(let bits): bits
        }
    }

    /// The bits of the address, with all but the first `count` cleared.
    func leadingBits(_ count: Int) -> UInt128 {
        // In Swift a shift by the whole width results in zero.
        (bits >> UInt128(bitCount - count)) << UInt128(bitCount - count)
    }
}
