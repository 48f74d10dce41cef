/// Where webhooks may be sent: the operator's policy. It allows nothing until hosts are listed.
///
/// Two things are checked. A URL is checked against the hosts when it is registered and again
/// whenever it is used. An address is checked against the networks when a connection to it is
/// about to be made, because what a name means may change between two look-ups.
public struct WebhookTargets: Equatable, Sendable {
    private let hosts: [HostPattern]
    private let networks: [IPNetwork]

    /// Nothing is allowed.
    public static let none = WebhookTargets(patterns: [], networks: [])

    /// - Parameters:
    ///   - hosts: Each `example.com`, an address, or `*.example.com` for all names below it (not
    ///     itself), over https. With a port (`example.com:8443`) that port is allowed, without one
    ///     https's own. `http://example.com` allows this host over http instead; for that it must
    ///     be named in full.
    ///   - networks: Those of the ranges that aren't public to which connections are allowed all
    ///     the same, each an address or a network like `10.1.0.0/16`. Public addresses always are.
    public init(hosts: [String], networks: [String] = []) throws(WebhookTargetsError) {
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

    /// Reads a URL that somebody wants webhooks sent to. Looks up no names. O(hosts + networks)
    @discardableResult
    public func check(url text: String) throws(WebhookTargetError) -> WebhookURL {
        guard isEnabled else { throw .disabled }
        let url = try WebhookURL(text: text)
        guard hosts.contains(where: { $0.matches(url) }) else {
            throw .hostNotAllowed(scheme: url.scheme.rawValue, host: "\(url.host)", port: url.port)
        }
        if case .address(let address) = url.host, let range = refusal(of: address) {
            throw .addressNotAllowed(address: "\(address)", range: range)
        }
        return url
    }

    /// Whether a connection may be made to this address.
    public func permits(_ address: IPAddress) -> Bool { refusal(of: address) == nil }

    /// The name of the range that the address is refused for; nil if it is allowed.
    func refusal(of address: IPAddress) -> String? {
        let address = address.unwrapped
        if networks.contains(where: { $0.contains(address) }) { return nil }
        return SpecialNetworks.name(of: address)
    }
}

/// One entry of the hosts that are allowed.
struct HostPattern: Equatable, Sendable {
    private let scheme: WebhookURL.Scheme
    private let host: WebhookHost
    private let includesOnlySubdomains: Bool
    private let port: Int

    init?(text: String) {
        var rest = text[...]
        var scheme = WebhookURL.Scheme.https
        if let slashes = text.firstRange(of: "://") {
            guard let named = WebhookURL.Scheme(rawValue: String(text[..<slashes.lowerBound]))
            else {
                return nil
            }
            scheme = named
            rest = text[slashes.upperBound...]
        }
        includesOnlySubdomains = rest.hasPrefix("*.")
        if includesOnlySubdomains {
            guard scheme == .https else { return nil }
            rest = rest.dropFirst(2)
        }
        guard let (host, port) = try? WebhookURL.hostAndPort(rest) else { return nil }
        if includesOnlySubdomains, case .address = host { return nil }
        self.scheme = scheme
        self.host = host
        self.port = port ?? scheme.defaultPort
    }

    func matches(_ url: WebhookURL) -> Bool {
        guard url.scheme == scheme, url.port == port else { return false }
        guard includesOnlySubdomains else { return url.host == host }
        guard case .name(let name) = url.host, case .name(let parent) = host else { return false }
        return name.hasSuffix("." + parent)
    }
}

/// An entry of the operator's policy that can't be read.
public enum WebhookTargetsError: Error, Equatable, Sendable {
    case host(String)
    case network(String)
}

extension WebhookTargetsError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .host(let text):
            "\(text) is no host for webhooks: write example.com, *.example.com, example.com:8443, "
                + "or http://example.com (without *) to allow http"
        case .network(let text):
            "\(text) is no network: write an address, or a network like 10.1.0.0/16 with zeros "
                + "behind the prefix"
        }
    }
}

/// Why webhooks can't be sent to a URL. It holds the URL's host, never its path or query, in which
/// there may be secrets.
public enum WebhookTargetError: Error, Equatable, Sendable {
    /// No hosts are allowed.
    case disabled
    /// The URL is not one, or not one of the kind that is allowed.
    case malformed(String)
    case hostNotAllowed(scheme: String, host: String, port: Int)
    case addressNotAllowed(address: String, range: String)
}

extension WebhookTargetError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .disabled:
            "webhooks are off: the operator of this server has allowed no hosts"
        case .malformed(let reason):
            "the URL can't be used: \(reason)"
        case .hostNotAllowed(let scheme, let host, let port):
            "the operator of this server does not allow webhooks to \(scheme)://\(host):\(port)"
        case .addressNotAllowed(let address, let range):
            "the operator of this server does not allow webhooks to \(address) (\(range))"
        }
    }
}
