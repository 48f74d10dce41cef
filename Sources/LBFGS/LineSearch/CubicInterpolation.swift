/// The minimizer of the cubic through two points with slopes.
///
/// Theory. For points (x1, f1, g1) and (x2, f2, g2), with x1 the smaller (Nocedal & Wright 2006,
/// equation 3.59):
///
///     d1 = g1 + g2 - 3 (f1 - f2) / (x1 - x2)
///     d2 = sqrt(d1^2 - g1 g2)
///     x  = x2 - (x2 - x1) (g2 + d2 - d1) / (g2 - g1 + 2 d2)
///
/// In torch's order of operations the division by x1 - x2 is a product with its reciprocal if one
/// of the two is a tensor.
///
/// The result is clamped to `bounds`. If the cubic has no minimum, an input is not finite, or the
/// two points coincide, it is the middle of `bounds`.
func cubicMinimizer(
    _ first: LineSearchPoint, _ second: LineSearchPoint, bounds: ClosedRange<Double>
) -> Interpolation {
    let midpoint = bounds.lowerBound / 2 + bounds.upperBound / 2
    let (left, right) =
        first.stepLength <= second.stepLength ? (first, second) : (second, first)
    let (rise, run) = (3 * (first.loss - second.loss), first.stepLength - second.stepLength)
    let isTensor = first.isTensor ?? false || second.isTensor ?? false
    let slopeSum = first.slope + second.slope - (isTensor ? 1 / run * rise : rise / run)
    let discriminant = slopeSum * slopeSum - first.slope * second.slope
    guard discriminant >= 0 else { return .middle(midpoint) }
    let root = discriminant.squareRoot()
    let minimizer =
        right.stepLength
        - (right.stepLength - left.stepLength)
        * ((right.slope + root - slopeSum) / (right.slope - left.slope + 2 * root))
    guard !minimizer.isNaN else { return .middle(midpoint) }
    if bounds.lowerBound > minimizer { return .lower(bounds.lowerBound) }
    return bounds.upperBound < minimizer ? .upper(bounds.upperBound) : .minimum(minimizer)
}

/// The result of an interpolation, and how it was found.
enum Interpolation: Equatable {
    /// The minimizer, between the bounds.
    case minimum(Double)
    /// The bound beyond which the minimizer lies.
    case lower(Double)
    case upper(Double)
    /// The middle of the bounds, as there is no minimizer.
    case middle(Double)

    var stepLength: Double {
        switch self {
        case .minimum(let value), .lower(let value), .upper(let value), .middle(let value): value
        }
    }
}
