internal import Webhooks

/// A webhook's URL and secret, as a client registers them, and the operator's hosts and networks.
/// The URL that libcurl gets is read as the same one, or two parsers could disagree.
@Sendable func fuzzWebhook(_ input: [UInt8]) {
    let text = String(decoding: input, as: UTF8.self)
    if let url = try? WebhookURL(text: text), url.text.utf8.count <= WebhookURL.lengthMax {
        precondition((try? WebhookURL(text: url.text)) == url, "\(text) became \(url.text)")
    }
    if let network = IPNetwork(text: text) {
        precondition(IPNetwork(text: "\(network)") == network, "\(text) became \(network)")
        _ = try? WebhookTargetPolicy(hosts: ["example.org"], networks: [text])
    }
    if let secret = try? WebhookSecret(text: text) {
        precondition((try? WebhookSecret(text: secret.text)) == secret)
    }
    guard let policy = try? WebhookTargetPolicy(hosts: [text]) else { return }
    _ = try? policy.check(url: "https://" + text)
}
