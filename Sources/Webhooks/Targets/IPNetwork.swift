/// A range of addresses in CIDR notation.
public struct IPNetwork: Hashable, Sendable {
    public let address: IPAddress
    public let prefixLength: Int

    /// Parses `10.0.0.0/8`, `fd00::/8` or a single address. The bits after the prefix must be zero:
    /// `10.1.2.3/8` could mean one address or sixteen million. An IPv4-mapped network becomes the
    /// IPv4 network.
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

    /// Whether the address is in the network. One of the other family never is.
    public func contains(_ address: IPAddress) -> Bool {
        address.bitCount == self.address.bitCount
            && address.leadingBits(prefixLength) == self.address.bits
    }
}

extension IPNetwork: CustomStringConvertible {
    public var description: String { "\(address)/\(prefixLength)" }
}
