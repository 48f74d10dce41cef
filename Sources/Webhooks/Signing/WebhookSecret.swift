internal import Foundation

/// A key that a webhook's sender and receiver share: Standard Webhooks' symmetric secret, written
/// `whsec_` and base64. It never shows in what is printed or logged.
public struct WebhookSecret: Equatable, Sendable {
    public static let prefix = "whsec_"
    /// As the specification asks.
    public static let byteCounts = 24...64

    let bytes: [UInt8]

    /// Reads `whsec_...`, base64 with its padding.
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

    /// A new secret of 32 random bytes, as many as HMAC-SHA256 has use for.
    public static func generate() -> WebhookSecret {
        // The system's generator, which is made for keys.
        var generator = SystemRandomNumberGenerator()
        return WebhookSecret(
            bytes: (0..<32).map { _ in UInt8.random(in: .min ... .max, using: &generator) })
    }

    /// The secret itself, for the one answer that hands it out and for the store.
    public var text: String { Self.prefix + Data(bytes).base64EncodedString() }
}

extension WebhookSecret: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    public var description: String { "\(Self.prefix)(hidden)" }
    public var debugDescription: String { description }
    public var customMirror: Mirror { Mirror(self, children: []) }
}

/// Why a text is no secret. It never holds the text.
public enum WebhookSecretError: Error, Equatable, Sendable {
    case missingPrefix
    case notBase64
    /// How many bytes the text stands for.
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
