/// Bounds or L1 weights that an optimizer cannot have. Each case names the field and, where the
/// numbers are given one by one, the index; an index of nil means the number that stands for all.
public enum BoundsError: Error, Equatable, Sendable {
    /// What the numbers are.
    public enum Field: String, Equatable, Sendable {
        /// Lower bounds.
        case lower
        /// Upper bounds.
        case upper
        /// Weights of the L1 term.
        case l1
    }

    /// There is not one number for each parameter.
    case wrongCount(Field, expected: Int, got: Int)
    /// A number is NaN.
    case notANumber(Field, index: Int?)
    /// A lower bound is above the upper one.
    case lowerAboveUpper(index: Int?, lower: Double, upper: Double)
    /// No number of the optimizer's precision lies between the bounds.
    case nothingBetween(index: Int?, lower: Double, upper: Double)
    /// A lower bound of +infinity or an upper one of -infinity, in the optimizer's precision.
    case infinite(Field, index: Int?, value: Double)
    /// A weight is negative or not finite.
    case weight(index: Int?, value: Double)
    /// Mode `torch` has neither bounds nor an L1 term.
    case needsRobustMode(Field)

    /// The field whose value is wrong. Where two bounds do not fit together, `lower`.
    public var field: Field {
        switch self {
        case .wrongCount(let field, _, _), .notANumber(let field, _), .infinite(let field, _, _),
            .needsRobustMode(let field):
            field
        case .lowerAboveUpper, .nothingBetween: .lower
        case .weight: .l1
        }
    }

    /// The index of the wrong number; nil if it stands for all or the field as a whole is wrong.
    public var index: Int? {
        switch self {
        case .wrongCount, .needsRobustMode: nil
        case .notANumber(_, let index), .lowerAboveUpper(let index, _, _),
            .nothingBetween(let index, _, _), .infinite(_, let index, _), .weight(let index, _):
            index
        }
    }

    /// What is wrong: a sentence that begins after the field's name.
    public var reason: String {
        let place = index.map { " at index \($0)" } ?? ""
        return switch self {
        case .wrongCount(_, let expected, let got):
            "has \(got) numbers, the parameters have \(expected)"
        case .notANumber:
            "must be a number\(place), not NaN"
        case .lowerAboveUpper(_, let lower, let upper):
            "must not be above upper\(place): \(lower) is above \(upper)"
        case .nothingBetween(_, let lower, let upper):
            "has no number of this precision between it and upper\(place): \(lower), \(upper)"
        case .infinite(_, _, let value):
            "must leave a finite number\(place), which \(value) does not"
        case .weight(_, let value):
            "must be a finite number of at least 0\(place), not \(value)"
        case .needsRobustMode:
            "needs mode robust: torch's optimizer has no bounds and no L1 term"
        }
    }
}
