/// The conditions under which a trial is accepted (Hager & Zhang 2005, equations 1.3 to 1.5; 2006,
/// section 2).
///
///     phi(t) - phi(0) <= delta t phi'(0)  and  phi'(t) >= sigma phi'(0)         Wolfe
///     phi(t) <= phi(0) + epsilon_k  and
///     (2 delta - 1) phi'(0) >= phi'(t) >= sigma phi'(0)                         approximate Wolfe
///
/// Near a minimum the Wolfe conditions ask for a difference of losses that is below their rounding
/// error. The approximate conditions say the same of a quadratic in terms of slopes, which are
/// known to full precision there. A gradient can so be reduced to the precision of the evaluation,
/// and not only to its square root.
///
/// Where phi(0) is infinite, because it is too large for the precision of the evaluation, any
/// finite loss is a sufficient decrease. Of an infinite loss nothing is known but the slope, and
/// the approximate conditions decide.
struct WolfeConditions: Equatable, Sendable, Codable {
    let start: LineSearchPoint
    let lossNoise: Double
    let sufficientDecrease: Double
    let curvature: Double

    func validate(_ path: String) throws(SnapshotError) {
        try start.validate(path + ".start", trials: 0)
    }

    /// Whether the Wolfe conditions hold, or the approximate ones.
    func hold(at point: LineSearchPoint) -> Bool {
        guard point.isFeasible, point.slope >= curvature * start.slope else { return false }
        return decreasesSufficiently(point)
            || (isNoHigher(point) && point.slope <= (2 * sufficientDecrease - 1) * start.slope)
    }

    /// Whether the loss is a sufficient decrease.
    func decreasesSufficiently(_ point: LineSearchPoint) -> Bool {
        point.loss < .infinity
            && point.loss <= start.loss + sufficientDecrease * point.stepLength * start.slope
    }

    /// Whether the loss is above the start's by no more than noise.
    func isNoHigher(_ point: LineSearchPoint) -> Bool {
        point.loss <= start.loss + lossNoise
    }
}
