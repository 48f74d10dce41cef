/// How precisely the caller evaluates loss and gradient: the relative error that a rounding of the
/// result alone leaves. Decisions that compare losses or slopes take differences below it for
/// nothing.
public enum Noise: Equatable, Sendable {
    case float64
    case float32
    /// A relative precision, as the machine epsilon is one; from 0 up to below 1.
    case relative(Double)

    /// The distance from 1 to the next number: 2.2e-16 or 1.2e-7.
    public var epsilon: Double {
        switch self {
        case .float64: Double.ulpOfOne
        case .float32: Double(Float.ulpOfOne)
        case .relative(let epsilon): epsilon
        }
    }

    /// From `float64` or `float32`; nil for other words.
    public init?(name: String) {
        switch name {
        case "float64": self = .float64
        case "float32": self = .float32
        default: return nil
        }
    }

    /// nil where the noise is a number.
    public var name: String? {
        switch self {
        case .float64: "float64"
        case .float32: "float32"
        case .relative: nil
        }
    }
}

/// A word or a number.
extension Noise: Codable {
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let epsilon = try? container.decode(Double.self) {
            self = .relative(epsilon)
            return
        }
        let name = try container.decode(String.self)
        guard let noise = Noise(name: name) else {
            throw DecodingError.dataCorruptedError(
                in: container, debugDescription: "noise is float64, float32 or a number")
        }
        self = noise
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .float64, .float32: try container.encode(name)
        case .relative(let epsilon): try container.encode(epsilon)
        }
    }
}
