/// The operator's policy on where webhooks may be sent. Without a list of hosts it allows nothing.
///
/// There are two checks. A URL is checked against the hosts when it is registered, and again each
/// time it is used. An address is checked against the networks immediately before the connection,
/// because a name may resolve to different addresses at different times.
public struct WebhookTargetPolicy: Equatable, Sendable {
    private let hosts: [HostPattern]
    private let networks: [IPNetwork]

    /// Allows nothing.
    public static let none = WebhookTargetPolicy(patterns: [], networks: [])

    /// - Parameters:
    ///   - hosts: Hosts allowed over https: `example.com`, an address, or `*.example.com` for all
    ///     names below `example.com`, but not itself. `example.com:8443` allows that port, an entry
    ///     without a port the default one. `http://example.com` allows the host over http instead;
    ///     it can't have a wildcard.
    ///   - networks: Non-public networks to which connections are allowed, each an address or a
    ///     network such as `10.1.0.0/16`. Connections to public addresses are always allowed.
    public init(hosts: [String], networks: [String] = []) throws(WebhookPolicyError) {
        var patterns: [HostPattern] = []
        for text in hosts {
            guard let pattern = HostPattern(text: text) else { throw .host(text) }
            patterns.append(pattern)
        }
        var allowed: [IPNetwork] = []
        for text in networks {
            guard let network = IPNetwork(text: text) else { throw .network(text) }
            allowed.append(network)
        }
        self.init(patterns: patterns, networks: allowed)
    }

    private init(patterns: [HostPattern], networks: [IPNetwork]) {
        hosts = patterns
        self.networks = networks
    }

    /// Whether any host is allowed.
    public var isEnabled: Bool { !hosts.isEmpty }

    /// Parses a URL and checks it against the policy, without resolving its name.
    /// O(hosts + networks).
    @discardableResult
    public func check(url text: String) throws(WebhookTargetError) -> WebhookURL {
        guard isEnabled else { throw .disabled }
        let url = try WebhookURL(text: text)
        guard hosts.contains(where: { $0.matches(url) }) else {
            throw .hostNotAllowed(scheme: url.scheme.rawValue, host: "\(url.host)", port: url.port)
        }
        if case .address(let address) = url.host, let range = forbiddenRange(of: address) {
            throw .addressNotAllowed(address: "\(address)", range: range)
        }
        return url
    }

    /// Whether connections to this address are allowed.
    public func permits(_ address: IPAddress) -> Bool { forbiddenRange(of: address) == nil }

    /// The name of the range because of which the address is not allowed, or nil if it is allowed.
    func forbiddenRange(of address: IPAddress) -> String? {
        let address = address.unwrapped
        if networks.contains(where: { $0.contains(address) }) { return nil }
        return SpecialPurposeNetworks.name(of: address)
    }
}
