/// A JSON document in memory.
enum JSONValue: Equatable, Sendable {
    case null
    case boolean(Bool)
    /// A numeral without fraction and exponent that fits in an `Int`.
    case integer(Int)
    case number(Double)
    /// A numeral beyond Float64's range, kept apart because it would become infinite.
    case overflow
    case string(String)
    case array([JSONValue])
    /// A non-empty array of numbers alone, the shape of every vector: 8 bytes an element.
    case numbers([Double])
    case object([String: JSONValue])

    /// The type's name, for error messages.
    var kind: String {
        switch self {
        case .null: "null"
        case .boolean: "a boolean"
        case .integer, .number, .overflow: "a number"
        case .string: "a string"
        case .array, .numbers: "an array"
        case .object: "an object"
        }
    }
}

/// JSON has no notation for non-finite numbers, so they are strings.
enum NonFinite {
    static let notANumber = "NaN"
    static let infinity = "Infinity"
    static let minusInfinity = "-Infinity"

    static func value(of text: String) -> Double? {
        switch text {
        case notANumber: .nan
        case infinity: .infinity
        case minusInfinity: -.infinity
        default: nil
        }
    }

    static func text(of value: Double) -> String? {
        if value.isNaN { return notANumber }
        if value.isInfinite { return value < 0 ? minusInfinity : infinity }
        return nil
    }
}
