internal import Foundation
internal import Hashing

/// A webhook's signature, with which its receiver authenticates it: `v1,` and the base64 of the
/// HMAC-SHA256 of `id.timestamp.body` (Standard Webhooks 1.0, standardwebhooks.com, "Signature
/// scheme").
public struct WebhookSignature: Equatable, Sendable {
    /// The same for each attempt, so that a receiver can detect repetitions.
    public let id: String
    /// The Unix time of the attempt. Receivers reject signatures that are minutes old.
    public let timestampSeconds: Int64
    /// One signature per secret, separated by spaces.
    public let text: String

    /// - Parameter secrets: One, or two while a secret is being replaced: the receiver accepts a
    ///   webhook if any of the signatures is valid.
    /// - Precondition: `isUsable(id:)`, and there is a secret.
    public init(id: String, timestampSeconds: Int64, body: [UInt8], secrets: [WebhookSecret]) {
        precondition(Self.isUsable(id: id), "\(id) can't be an identifier")
        precondition(!secrets.isEmpty, "there is no secret to sign with")
        self.id = id
        self.timestampSeconds = timestampSeconds
        let signed = Array("\(id).\(timestampSeconds).".utf8) + body
        text = secrets.map { secret in
            let code = HMACSHA256.authenticationCode(of: signed, key: secret.bytes)
            return "v1," + Data(code).base64EncodedString()
        }.joined(separator: " ")
    }

    /// Whether the text can be a webhook's identifier: 1 to 128 letters, digits, `_` and `-`. With
    /// a full stop, one signed text could belong to two different webhooks.
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

    /// The request's three header fields.
    public var headerFields: [(name: String, value: String)] {
        [
            ("webhook-id", id), ("webhook-timestamp", String(timestampSeconds)),
            ("webhook-signature", text),
        ]
    }
}
