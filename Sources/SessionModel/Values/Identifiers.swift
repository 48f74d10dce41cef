/// Identifies a session: `s` and 20 characters of lower-case base 32 (100 random bits). It needs no
/// escaping in a path, a file name or a log line, and cannot be guessed.
public struct SessionID: Hashable, Sendable, CustomStringConvertible {
    public let rawValue: String

    /// nil unless `text` has the form of an identifier.
    public init?(_ text: String) {
        guard IdentifierText.isValid(text, prefix: "s") else { return nil }
        rawValue = text
    }

    public static func random(using generator: inout some RandomNumberGenerator) -> SessionID {
        let text = IdentifierText.random(prefix: "s", using: &generator)
        guard let identifier = SessionID(text) else {
            preconditionFailure("an identifier made here has the form of one")
        }
        return identifier
    }

    public var description: String { rawValue }
}

/// Identifies an ensemble: `e` and 20 characters as in a session's identifier.
public struct EnsembleID: Hashable, Sendable, CustomStringConvertible {
    public let rawValue: String

    /// nil unless `text` has the form of an identifier.
    public init?(_ text: String) {
        guard IdentifierText.isValid(text, prefix: "e") else { return nil }
        rawValue = text
    }

    public static func random(using generator: inout some RandomNumberGenerator) -> EnsembleID {
        let text = IdentifierText.random(prefix: "e", using: &generator)
        guard let identifier = EnsembleID(text) else {
            preconditionFailure("an identifier made here has the form of one")
        }
        return identifier
    }

    public var description: String { rawValue }
}

/// A letter that says what is identified, and 20 random characters.
private enum IdentifierText {
    private static let alphabet = Array("0123456789abcdefghjkmnpqrstvwxyz".utf8)
    private static let length = 21

    /// Whether the byte is of the alphabet: digits, and letters but i, l, o and u.
    private static func isDigit(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "i"), UInt8(ascii: "l"), UInt8(ascii: "o"), UInt8(ascii: "u"): false
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"): true
        default: false
        }
    }

    static func isValid(_ text: String, prefix: Unicode.Scalar) -> Bool {
        text.utf8.count == length && text.utf8.first == UInt8(ascii: prefix)
            && text.utf8.allSatisfy(isDigit)
    }

    static func random(
        prefix: Unicode.Scalar, using generator: inout some RandomNumberGenerator
    ) -> String {
        var bytes: [UInt8] = [UInt8(ascii: prefix)]
        while bytes.count < length {
            bytes.append(alphabet[Int.random(in: 0..<alphabet.count, using: &generator)])
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// Names a checkpoint within its session: 1, 2, 3 ... and never used twice.
public typealias CheckpointNumber = Int
/// Names a step within its session: 1, 2, 3 ...; a restore doesn't turn it back.
public typealias StepNumber = Int
/// Names an evaluation within its session: 1, 2, 3 ...; a restore doesn't turn it back.
public typealias EvaluationNumber = Int
/// Orders a session's journal: 1, 2, 3 ...
public typealias SequenceNumber = Int
/// Names a stored vector; given by the store.
public typealias VectorID = Int64
/// Names a stored snapshot; given by the store.
public typealias SnapshotID = Int64
