/// An entry of the operator's policy that is invalid.
public enum WebhookPolicyError: Error, Equatable, Sendable {
    case host(String)
    case network(String)
}

extension WebhookPolicyError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .host(let text):
            "\(text) is not a valid host for webhooks: write example.com, *.example.com, "
                + "example.com:8443, or http://example.com (without *) to allow http"
        case .network(let text):
            "\(text) is not a valid network: write an address, or a network such as 10.1.0.0/16 "
                + "whose bits after the prefix are zero"
        }
    }
}

/// Why webhooks can't be sent to a URL. It contains the URL's host, but not its path or query,
/// which may contain secrets.
public enum WebhookTargetError: Error, Equatable, Sendable {
    /// The policy allows no hosts.
    case disabled
    /// The text is not a URL, or has a part that is not accepted.
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
