/// The networks that are not public unicast: IANA's special-purpose address registries for IPv4 and
/// IPv6 (RFC 6890 and its updates), and deprecated ranges.
enum SpecialPurposeNetworks {
    /// The name of the range that contains the address, or nil for a public unicast address. The
    /// address must be unwrapped.
    static func name(of address: IPAddress) -> String? {
        if let (_, name) = table.first(where: { network, _ in network.contains(address) }) {
            return name
        }
        // Only 2000::/3 is allocated as global unicast (RFC 4291, section 2.4).
        if case .v6(let bits) = address, bits >> 125 != 0b001 { return "reserved" }
        return nil
    }

    private static let table: [(network: IPNetwork, name: String)] = [
        ("0.0.0.0/8", "unspecified"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "carrier-grade NAT"),
        ("127.0.0.0/8", "loopback"),
        ("169.254.0.0/16", "link-local"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "reserved"),
        ("192.0.2.0/24", "documentation"),
        ("192.31.196.0/24", "reserved"),
        ("192.52.193.0/24", "reserved"),
        ("192.88.99.0/24", "6to4 relay"),
        ("192.168.0.0/16", "private"),
        ("192.175.48.0/24", "reserved"),
        ("198.18.0.0/15", "benchmarking"),
        ("198.51.100.0/24", "documentation"),
        ("203.0.113.0/24", "documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),

        ("::/128", "unspecified"),
        ("::1/128", "loopback"),
        ("64:ff9b::/96", "NAT64"),
        ("64:ff9b:1::/48", "NAT64"),
        ("100::/64", "discard-only"),
        ("2001::/32", "Teredo"),
        ("2001:db8::/32", "documentation"),
        ("2001::/23", "reserved"),
        ("2002::/16", "6to4"),
        ("2620:4f:8000::/48", "reserved"),
        ("3fff::/20", "documentation"),
        ("fc00::/7", "unique local"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "site-local"),
        ("ff00::/8", "multicast"),
    ].map { text, name in
        guard let network = IPNetwork(text: text) else { preconditionFailure(text) }
        return (network, name)
    }
}
