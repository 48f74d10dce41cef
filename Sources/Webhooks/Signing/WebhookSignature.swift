internal import Foundation
internal import Hashing

/// What a receiver checks a webhook with, after Standard Webhooks 1.0 (standardwebhooks.com,
/// "Signature scheme"): the HMAC-SHA256 of `id.timestamp.body`, in base64, behind `v1,`.
public struct WebhookSignature: Equatable, Sendable {
    /// The same for each attempt, so that a receiver can tell a repetition.
    public let id: String
    /// Unix time of the attempt; receivers refuse what is minutes old.
    public let timestampSeconds: Int64
    /// One signature for each secret, with spaces between.
    public let text: String

    /// - Parameter secrets: One, or two while the receiver changes from one to the other: the
    ///   receiver accepts a webhook if any of the signatures is right.
    /// - Precondition: `isUsable(id:)`, and there is a secret.
    public init(id: String, timestampSeconds: Int64, body: [UInt8], secrets: [WebhookSecret]) {
        precondition(Self.isUsable(id: id), "\(id) can't be an identifier")
        precondition(!secrets.isEmpty, "there is nothing to sign with")
        self.id = id
        self.timestampSeconds = timestampSeconds
        let signed = Array("\(id).\(timestampSeconds).".utf8) + body
        text = secrets.map { secret in
            let code = HMACSHA256.authenticationCode(of: signed, key: secret.bytes)
            return "v1," + Data(code).base64EncodedString()
        }.joined(separator: " ")
    }

    /// Whether this can be a webhook's identifier: up to 128 letters, digits, `_` and `-`. A full
    /// stop would let one signed text stand for two webhooks.
    public static func isUsable(id: String) -> Bool {
        (1...128).contains(id.utf8.count)
            && id.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"):
                    true
                default: false
                }
            }
    }

    /// The three fields that the request carries.
    public var headerFields: [(name: String, value: String)] {
        [
            ("webhook-id", id), ("webhook-timestamp", String(timestampSeconds)),
            ("webhook-signature", text),
        ]
    }
}
