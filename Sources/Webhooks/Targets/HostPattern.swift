/// A parsed entry of the list of allowed hosts.
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
