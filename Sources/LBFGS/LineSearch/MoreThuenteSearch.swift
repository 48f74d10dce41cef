/// A line search for the strong Wolfe conditions, by safeguarded cubic interpolation.
///
/// Theory. J. J. Moré and D. J. Thuente, Line search algorithms with guaranteed sufficient
/// decrease, ACM TOMS 20 (1994) 286-307, as in MINPACK-2's `dcsrch` and `dcstep`. The conditions
/// are
///
///     phi(t) <= phi(0) + ftol t phi'(0)      |phi'(t)| <= gtol |phi'(0)|
///
/// The search keeps the best trial t_l and the other end t_u of the interval of uncertainty. In its
/// first stage it works on psi(t) = phi(t) - ftol t phi'(0), until a trial has psi <= 0 and a slope
/// that is not negative. Each trial is the minimum of a cubic or a quadratic through the ends, by
/// four cases.
///
/// Two things are added. The approximate Wolfe conditions accept a trial too, so that rounding
/// errors of the loss do not end a run early. An infeasible trial bounds the interval from above,
/// and the next trial lies halfway to it.
package struct MoreThuenteSearch: Equatable, Sendable, Codable {
    static let sufficientDecrease = 1e-3  // ftol; L-BFGS-B (Zhu et al. 1997), lnsrlb
    static let curvature = 0.9  // gtol; the same
    /// The factor by which the interval must shrink in two trials (dcsrch: p66).
    static let shrinkMax = 0.66
    /// The bounds on the factor of an extrapolation (dcsrch: xtrapl, xtrapu).
    static let extrapolation = 1.1...4.0

    private let conditions: WolfeConditions
    private var isBracketed = false
    private var isFirstStage = true
    /// t_l
    private var low: LineSearchPoint
    /// t_u
    private var other: LineSearchPoint
    /// The lengths of the interval after the last trial and after the one before.
    private var length = Double.infinity
    private var lengthBefore = Double.infinity
    /// The bounds on the next trial.
    private var lower = 0.0
    private var upper = Double.infinity
    /// t of the nearest infeasible trial.
    private var infeasible = Double.infinity

    package init(_ setting: LineSearchSetting) {
        conditions = WolfeConditions(
            start: setting.start, lossNoise: setting.lossNoise,
            sufficientDecrease: MoreThuenteSearch.sufficientDecrease,
            curvature: MoreThuenteSearch.curvature)
        low = setting.start
        other = setting.start
        upper = MoreThuenteSearch.extrapolation.upperBound * setting.stepLength
        upper += setting.stepLength
    }

    func validate(_ path: String, trials: Int) throws(SnapshotError) {
        try conditions.validate(path + ".conditions")
        try low.validate(path + ".low", trials: trials)
        try other.validate(path + ".other", trials: trials)
    }

    /// Answers the pending trial. `BudgetedLineSearch` counts the trials.
    package mutating func advance(_ point: LineSearchPoint) -> LineSearchDirective {
        guard point.isFeasible else { return contract(from: point) }
        let start = conditions.start
        let decreases = conditions.decreasesSufficiently(point)
        let isFlat = abs(point.slope) <= MoreThuenteSearch.curvature * abs(start.slope)
        if (decreases && isFlat) || conditions.hold(at: point) && isFlat {
            return .accept(point)
        }
        if isFirstStage, decreases, point.slope >= 0 { isFirstStage = false }

        let trial: Double
        if isFirstStage, point.loss <= low.loss, !decreases {
            let tilt = MoreThuenteSearch.sufficientDecrease * start.slope
            trial = step(tilted(low, tilt), tilted(other, tilt), tilted(point, tilt))
        } else {
            trial = step(low, other, point)
        }
        update(with: point)
        return evaluate(trial, after: point)
    }

    /// The point with the value and the slope of psi.
    private func tilted(_ point: LineSearchPoint, _ tilt: Double) -> LineSearchPoint {
        var point = point
        point.loss -= point.stepLength * tilt
        point.slope -= tilt
        return point
    }

    /// The trial halfway to the nearest infeasible one.
    private mutating func contract(from point: LineSearchPoint) -> LineSearchDirective {
        infeasible = min(infeasible, point.stepLength)
        let next = low.stepLength + (infeasible - low.stepLength) / 2
        guard next > low.stepLength, next < infeasible else {
            return .giveUp(lower: low.stepLength, upper: infeasible)
        }
        upper = min(upper, infeasible)
        return .evaluate(stepLength: next)
    }

    /// Replaces ends of the interval by the trial (Moré & Thuente 1994, the updating algorithm).
    private mutating func update(with point: LineSearchPoint) {
        let isHigher: Bool
        let isOpposite: Bool
        if isFirstStage, point.loss <= low.loss, !conditions.decreasesSufficiently(point) {
            let tilt = MoreThuenteSearch.sufficientDecrease * conditions.start.slope
            isHigher = tilted(point, tilt).loss > tilted(low, tilt).loss
            isOpposite = (point.slope - tilt) * (low.slope - tilt) < 0
        } else {
            isHigher = point.loss > low.loss
            isOpposite = (point.slope < 0) != (low.slope < 0)
        }
        if isHigher {
            other = point
        } else {
            if isOpposite { other = low }
            low = point
        }
        if isHigher || isOpposite { isBracketed = true }
    }

    /// Bounds the step that was computed by the interval, and asks for it.
    private mutating func evaluate(
        _ trial: Double, after point: LineSearchPoint
    ) -> LineSearchDirective {
        var next = trial
        if isBracketed {
            let now = abs(other.stepLength - low.stepLength)
            if now >= MoreThuenteSearch.shrinkMax * lengthBefore {
                next = low.stepLength + (other.stepLength - low.stepLength) / 2
            }
            lengthBefore = length
            length = now
            lower = min(low.stepLength, other.stepLength)
            upper = max(low.stepLength, other.stepLength)
        } else {
            let span = point.stepLength - low.stepLength
            let reach = max(span, point.stepLength)
            lower = low.stepLength + MoreThuenteSearch.extrapolation.lowerBound * span
            upper = low.stepLength + MoreThuenteSearch.extrapolation.upperBound * reach
        }
        if infeasible < .infinity {
            upper = min(upper, low.stepLength + (infeasible - low.stepLength) / 2)
        }
        next = min(max(next, min(lower, upper)), upper)
        if next.isNaN || next == low.stepLength || next == point.stepLength {
            next = low.stepLength / 2 + (isBracketed ? other.stepLength : upper) / 2
        }
        guard next.isFinite, next > 0, next != low.stepLength, next != point.stepLength else {
            return .giveUp(lower: min(lower, upper), upper: upper)
        }
        return .evaluate(stepLength: next)
    }

    /// The next step by the four cases of dcstep; `low` is t_l, `other` t_u and `point` t.
    private func step(
        _ low: LineSearchPoint, _ other: LineSearchPoint, _ point: LineSearchPoint
    ) -> Double {
        let (l, t) = (low.stepLength, point.stepLength)
        let theta = 3 * (low.loss - point.loss) / (t - l) + low.slope + point.slope
        let scale = max(abs(theta), abs(low.slope), abs(point.slope))
        func root(_ third: Double, clamped: Bool) -> Double {
            let ratio = theta / scale
            let inside = ratio * ratio - (low.slope / scale) * (third / scale)
            return scale * (clamped ? max(0, inside) : inside).squareRoot()
        }
        let secant = t + point.slope / (point.slope - low.slope) * (l - t)
        if point.loss > low.loss {
            var gamma = root(point.slope, clamped: false)
            if t < l { gamma = -gamma }
            let ratio =
                ((gamma - low.slope) + theta) / (((gamma - low.slope) + gamma) + point.slope)
            let cubic = l + ratio * (t - l)
            let quadratic =
                l + low.slope / ((low.loss - point.loss) / (t - l) + low.slope) / 2 * (t - l)
            return abs(cubic - l) <= abs(quadratic - l)
                ? cubic : cubic + (quadratic - cubic) / 2
        }
        if (point.slope < 0) != (low.slope < 0) {
            var gamma = root(point.slope, clamped: false)
            if t > l { gamma = -gamma }
            let ratio =
                ((gamma - point.slope) + theta) / (((gamma - point.slope) + gamma) + low.slope)
            let cubic = t + ratio * (l - t)
            return abs(cubic - t) > abs(secant - t) ? cubic : secant
        }
        if abs(point.slope) < abs(low.slope) {
            var gamma = root(point.slope, clamped: true)
            if t > l { gamma = -gamma }
            let ratio =
                ((gamma - point.slope) + theta) / ((gamma + (low.slope - point.slope)) + gamma)
            let cubic =
                ratio < 0 && gamma != 0 ? t + ratio * (l - t) : (t > l ? upper : lower)
            guard isBracketed else {
                return abs(cubic - t) > abs(secant - t) ? cubic : secant
            }
            let nearer = abs(cubic - t) < abs(secant - t) ? cubic : secant
            let limit = t + MoreThuenteSearch.shrinkMax * (other.stepLength - t)
            return t > l ? min(limit, nearer) : max(limit, nearer)
        }
        guard isBracketed else { return t > l ? upper : lower }
        return cubicMinimizer(
            point, other,
            bounds: min(t, other.stepLength)...max(t, other.stepLength)
        ).stepLength
    }
}
