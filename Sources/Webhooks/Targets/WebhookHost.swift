/// The host of a URL: a name in lower case, or an address.
public enum WebhookHost: Hashable, Sendable {
    case name(String)
    case address(IPAddress)

    /// Parses a name of letters, digits and hyphens, an IPv4 address, or an IPv6 address in
    /// brackets.
    init(text: Substring) throws(WebhookTargetError) {
        if text.hasPrefix("["), text.hasSuffix("]"), text.contains(":") {
            guard let address = IPAddress(text: String(text.dropFirst().dropLast())) else {
                throw .malformed("its address is not a valid IPv6 address")
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
        // Resolvers accept 127.1, 0x7f000001 and 2130706433 as addresses. Here only the usual
        // notation is accepted.
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
    /// The host as in a URL: an IPv6 address has brackets.
    public var description: String {
        switch self {
        case .name(let name): name
        case .address(let address):
            if case .v6 = address { "[\(address)]" } else { "\(address)" }
        }
    }
}
