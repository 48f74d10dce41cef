/// The relative precision of the caller's evaluation of loss and gradient: the error that rounding
/// the result alone would leave. Mode `robust` treats smaller differences of losses and slopes as
/// zero.
public enum Noise: Equatable, Sendable {
    /// The evaluation is as precise as a `Double`: 2.2e-16.
    case float64
    /// The evaluation is as precise as a `Float`: 1.2e-7.
    case float32
    /// Another relative precision, defined as the machine epsilon is; at least 0 and below 1.
    case relative(Double)

    /// The relative precision: the distance from 1 to the next number.
    public var epsilon: Double {
        switch self {
        case .float64: Double.ulpOfOne
        case .float32: Double(Float.ulpOfOne)
        case .relative(let epsilon): epsilon
        }
    }

    /// Creates a noise level from its name.
    /// - Parameter name: `float64` or `float32`.
    /// - Returns: nil for another name.
    public init?(name: String) {
        switch name {
        case "float64": self = .float64
        case "float32": self = .float32
        default: return nil
        }
    }

    /// `float64` or `float32`; nil if the noise is a number.
    public var name: String? {
        switch self {
        case .float64: "float64"
        case .float32: "float32"
        case .relative: nil
        }
    }
}

// Coded as a name or as a number.
extension Noise: Codable {
    /// Reads a name or a number.
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

    /// Writes a name or a number.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .float64, .float32: try container.encode(name)
        case .relative(let epsilon): try container.encode(epsilon)
        }
    }
}
