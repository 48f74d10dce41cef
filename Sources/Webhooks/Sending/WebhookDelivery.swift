/// A webhook to send.
public struct WebhookDelivery: Equatable, Sendable {
    /// The longest body, in bytes. Standard Webhooks recommends at most 20 KB.
    public static let bodyBytesMax = 1 << 20

    /// Checked against the policy at each attempt.
    public let url: String
    /// The `webhook-id`, which is the same for each attempt.
    public let id: String
    /// JSON, in UTF-8.
    public let body: [UInt8]
    /// The keys to sign with.
    public let secrets: [WebhookSecret]

    /// - Precondition: `WebhookSignature.isUsable(id:)`, there is a secret, and the body is no
    ///   longer than `bodyBytesMax`.
    public init(url: String, id: String, body: [UInt8], secrets: [WebhookSecret]) {
        precondition(WebhookSignature.isUsable(id: id), "\(id) can't be an identifier")
        precondition(!secrets.isEmpty, "there is no secret to sign with")
        precondition(body.count <= Self.bodyBytesMax, "\(body.count) bytes")
        self.url = url
        self.id = id
        self.body = body
        self.secrets = secrets
    }
}

/// How an attempt to send a webhook ended.
public enum WebhookOutcome: Equatable, Sendable {
    /// The receiver responded with 2xx.
    case delivered(status: Int)
    /// The receiver responded with another status. Redirects are not followed.
    case rejected(status: Int, retryAfterSeconds: Int?)
    /// There was no response.
    case failed(WebhookFailure)
}

/// Why there was no response to a webhook.
public enum WebhookFailure: Error, Equatable, Sendable {
    /// The policy does not allow the URL, or no longer does.
    case targetNotAllowed(WebhookTargetError)
    /// The host's name resolves only to addresses that the policy does not allow.
    case addressNotAllowed(address: String, range: String)
    /// No connection, or no response, within the timeout.
    case timedOut
    /// Name resolution, connection, certificate check or HTTP failed; the text is libcurl's.
    case transport(String)
    /// The sending task was cancelled. The receiver may have received the webhook.
    case cancelled
    /// Too many webhooks wait to be sent, or the system can create no thread. Nothing was sent.
    case overloaded
}

extension WebhookFailure: CustomStringConvertible {
    public var description: String {
        switch self {
        case .targetNotAllowed(let error): "\(error)"
        case .addressNotAllowed(let address, let range):
            "the host's address \(address) (\(range)) is not allowed"
        case .timedOut: "the receiver did not respond in time"
        case .transport(let reason): reason
        case .cancelled: "the attempt was cancelled"
        case .overloaded: "too many webhooks are being sent"
        }
    }
}
