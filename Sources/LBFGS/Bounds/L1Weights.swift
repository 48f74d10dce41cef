/// The weights w_i >= 0 of an L1 term sum_i w_i |x_i| that is added to the loss.
///
/// A parameter with a weight of 0 has no such term. A weight that is the same for all parameters
/// takes no memory.
public struct L1Weights<Scalar: EngineScalar>: Equatable, Sendable {
    /// The weights; `none` if all are 0.
    public let weights: ParameterValues<Scalar>

    /// No L1 term.
    public static var none: L1Weights { L1Weights(unchecked: .none) }

    /// Creates weights from numbers of Float64, which are rounded to the nearest. O(n).
    /// - Parameters:
    ///   - weights: One number for all parameters, or n numbers.
    ///   - count: n, the number of parameters.
    /// - Throws: The first number that is wrong, and its index.
    public init(_ weights: ParameterValues<Double>, count: Int) throws(BoundsError) {
        if let got = weights.count, got != count {
            throw .wrongCount(.l1, expected: count, got: got)
        }
        self.weights = try weights.map { (index, value) throws(BoundsError) -> Scalar in
            guard !value.isNaN else { throw .notANumber(.l1, index: index) }
            let rounded = Scalar(value)
            guard rounded >= 0, rounded.isFinite else { throw .weight(index: index, value: value) }
            return rounded
        }.withoutAll(0)
    }

    /// Weights that were checked before.
    init(unchecked weights: ParameterValues<Scalar>) { self.weights = weights }

    /// Whether there is no L1 term. O(1).
    public var isEmpty: Bool { weights == .none }

    /// The weight of a parameter. O(1).
    public func weight(at index: Int) -> Scalar { weights[index] ?? 0 }

    /// The weights of `counts.0` parameters followed by those of `counts.1` others. O(n).
    func appending(_ next: L1Weights, counts: (Int, Int)) -> L1Weights {
        L1Weights(unchecked: weights.appending(next.weights, counts: counts, missing: 0))
    }
}
