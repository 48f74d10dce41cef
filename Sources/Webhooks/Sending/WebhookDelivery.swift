/// A webhook to be sent.
public struct WebhookDelivery: Equatable, Sendable {
    /// The longest body. Standard Webhooks recommends 20 KB and less.
    public static let bodyBytesMax = 1 << 20

    /// Checked against the targets that are allowed whenever the webhook is sent.
    public let url: String
    /// The same for each attempt.
    public let id: String
    /// JSON.
    public let body: [UInt8]
    /// Those to sign with.
    public let secrets: [WebhookSecret]

    /// - Precondition: `WebhookSignature.isUsable(id:)`, there is a secret, and the body is no
    ///   longer than `bodyBytesMax`.
    public init(url: String, id: String, body: [UInt8], secrets: [WebhookSecret]) {
        precondition(WebhookSignature.isUsable(id: id), "\(id) can't be an identifier")
        precondition(!secrets.isEmpty, "there is nothing to sign with")
        precondition(body.count <= Self.bodyBytesMax, "\(body.count) bytes")
        self.url = url
        self.id = id
        self.body = body
        self.secrets = secrets
    }
}

/// How an attempt to send a webhook ended.
public enum WebhookOutcome: Equatable, Sendable {
    /// The receiver has taken it: 2xx.
    case delivered(status: Int)
    /// The receiver answered something else; redirections are not followed.
    case refused(status: Int, retryAfterSeconds: Int?)
    /// There was no answer.
    case failed(WebhookFailure)
}

/// Why there was no answer to a webhook.
public enum WebhookFailure: Error, Equatable, Sendable {
    /// The URL isn't allowed, or isn't any more.
    case targetNotAllowed(WebhookTargetError)
    /// The host's name stands for an address that isn't allowed, and for none that is.
    case addressNotAllowed(address: String, range: String)
    /// No connection, or no answer, in time.
    case timedOut
    /// No address for the name, no connection, no trust in the certificate, no HTTP, ...: what
    /// libcurl says.
    case transport(String)
    /// The task that was sending was cancelled. The receiver may have got the webhook.
    case cancelled
    /// Too many webhooks wait to be sent, or the system has no thread to send it. Nothing was sent.
    case overloaded
}

extension WebhookFailure: CustomStringConvertible {
    public var description: String {
        switch self {
        case .targetNotAllowed(let error): "\(error)"
        case .addressNotAllowed(let address, let range):
            "the host's address \(address) (\(range)) is not allowed"
        case .timedOut: "the receiver did not answer in time"
        case .transport(let reason): reason
        case .cancelled: "it was given up while it was sent"
        case .overloaded: "too many webhooks are being sent"
        }
    }
}
