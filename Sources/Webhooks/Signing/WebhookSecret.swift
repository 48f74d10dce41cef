internal import Foundation

/// The key shared by a webhook's sender and receiver: Standard Webhooks' symmetric secret, written
/// as `whsec_` and base64. Printing, logging and dumping it shows `whsec_(hidden)`.
public struct WebhookSecret: Equatable, Sendable {
    public static let prefix = "whsec_"
    /// The lengths that the specification allows.
    public static let byteCounts = 24...64

    let bytes: [UInt8]

    /// Parses `whsec_` followed by padded base64.
    public init(text: String) throws(WebhookSecretError) {
        guard text.hasPrefix(Self.prefix) else { throw .missingPrefix }
        guard let data = Data(base64Encoded: String(text.dropFirst(Self.prefix.count))) else {
            throw .notBase64
        }
        guard Self.byteCounts.contains(data.count) else { throw .wrongLength(data.count) }
        bytes = Array(data)
    }

    private init(bytes: [UInt8]) {
        self.bytes = bytes
    }

    /// Generates a secret of 32 random bytes, the length of an HMAC-SHA256 digest.
    public static func generate() -> WebhookSecret {
        // The system's cryptographic generator.
        var generator = SystemRandomNumberGenerator()
        return WebhookSecret(
            bytes: (0..<32).map { _ in UInt8.random(in: .min ... .max, using: &generator) })
    }

    /// The secret in plain text, for the response that returns it once, and for the store.
    public var text: String { Self.prefix + Data(bytes).base64EncodedString() }
}

extension WebhookSecret: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    public var description: String { "\(Self.prefix)(hidden)" }
    public var debugDescription: String { description }
    public var customMirror: Mirror { Mirror(self, children: []) }
}

/// Why a text is not a valid secret. It does not contain the text.
public enum WebhookSecretError: Error, Equatable, Sendable {
    case missingPrefix
    case notBase64
    /// The number of decoded bytes.
    case wrongLength(Int)
}

extension WebhookSecretError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .missingPrefix: "a secret must begin with \(WebhookSecret.prefix)"
        case .notBase64: "a secret must be base64, padded, after \(WebhookSecret.prefix)"
        case .wrongLength(let count): "a secret must have 24 to 64 bytes, not \(count)"
        }
    }
}
