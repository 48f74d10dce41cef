/// Bounds and L1 weights as a request carries them, of one parameter tensor or of all: in Float64,
/// and not yet compared with the parameters.
public struct BoundsInput: Equatable, Sendable {
    /// -infinity is no bound.
    public var lower: ParameterValues<Double>
    /// Infinity is no bound.
    public var upper: ParameterValues<Double>
    /// The weights w_i of the term sum w_i |x_i| that is added to the loss.
    public var l1: ParameterValues<Double>

    public init(
        lower: ParameterValues<Double> = .none, upper: ParameterValues<Double> = .none,
        l1: ParameterValues<Double> = .none
    ) {
        self.lower = lower
        self.upper = upper
        self.l1 = l1
    }

    /// Whether there is nothing.
    public var isEmpty: Bool { lower.isNone && upper.isNone && l1.isNone }
}

extension ParameterValues {
    /// Whether there are no numbers.
    public var isNone: Bool {
        if case .none = self { true } else { false }
    }

    /// The numbers of `count` parameters, one each. O(n).
    /// - Parameter missing: The number of a parameter that has none.
    package func filled(_ count: Int, missing: Scalar) -> [Scalar] {
        switch self {
        case .none: [Scalar](repeating: missing, count: count)
        case .uniform(let value): [Scalar](repeating: value, count: count)
        case .each(let values): values
        }
    }
}

/// New bounds and weights for a session, in place of all that it has.
public enum BoundsRequest: Equatable, Sendable {
    /// From JSON: all parameters, one after the other.
    case flat(BoundsInput)
    /// From JSON: by parameter name or, where parameters have none, by position. A parameter that
    /// is absent has neither bounds nor weights.
    case named([String: BoundsInput])
    /// A binary body: the lower bounds of all parameters, then the upper ones, then the weights if
    /// there are any; or tensors named `NAME.lower`, `NAME.upper` and `NAME.l1`.
    case collected(CollectedVector)
}

/// Which numbers of bounds a tensor, or a part of a vector, has. The raw values are the ends of
/// tensors' names, after a point.
public enum BoundsField: String, Equatable, Sendable, CaseIterable {
    case lower, upper, l1

    /// What a parameter has that has none.
    package var missing: Double {
        switch self {
        case .lower: -.infinity
        case .upper: .infinity
        case .l1: 0
        }
    }
}

extension BoundsInput {
    package subscript(field: BoundsField) -> ParameterValues<Double> {
        get {
            switch field {
            case .lower: lower
            case .upper: upper
            case .l1: l1
            }
        }
        set {
            switch field {
            case .lower: lower = newValue
            case .upper: upper = newValue
            case .l1: l1 = newValue
            }
        }
    }
}
