/// A line search for sufficient decrease alone,
///
///     phi(t) <= phi(0) + c1 t phi'(0),  c1 = 1e-4
///
/// by contraction from the first trial to the minimum of the quadratic through phi(0), phi'(0) and
/// phi(t), and from the second failure on of the cubic that also goes through the trial before it;
/// each within [0.1, 0.5] of the last (Dennis & Schnabel 1983, algorithm A6.3.1; Nocedal & Wright
/// 2006, section 3.5). An infeasible trial is halved. A loss above phi(0) by no more than noise
/// counts as a decrease when the slope there has not grown.
///
/// Nothing here asks for curvature: the pair of such a step may be refused by the history.
package struct BacktrackingSearch: Equatable, Sendable, Codable {
    static let sufficientDecrease = 1e-4  // c1; Dennis & Schnabel 1983
    static let contraction = 0.1...0.5  // the same

    private let conditions: WolfeConditions
    /// The trial before, if it was feasible.
    private var previous: LineSearchPoint?

    package init(_ setting: LineSearchSetting) {
        conditions = WolfeConditions(
            start: setting.start, lossNoise: setting.lossNoise,
            sufficientDecrease: BacktrackingSearch.sufficientDecrease, curvature: 1)
    }

    /// Takes the trial asked for last. The caller counts trials.
    package mutating func advance(_ point: LineSearchPoint) -> SearchDirective {
        if point.isFeasible, conditions.decreasesSufficiently(point) || conditions.hold(at: point) {
            return .accept(point)
        }
        let stepLength = contracted(point)
        previous = point.isFeasible ? point : nil
        guard stepLength > 0, stepLength < point.stepLength else {
            return .giveUp(lower: 0, upper: point.stepLength)
        }
        return .evaluate(stepLength: stepLength)
    }

    private func contracted(_ point: LineSearchPoint) -> Double {
        let bounds = BacktrackingSearch.contraction
        let (t, start) = (point.stepLength, conditions.start)
        guard point.isFeasible else { return bounds.upperBound * t }
        // What phi(t) is above the tangent at 0.
        let excess = point.loss - start.loss - t * start.slope
        var minimizer = -start.slope * t * t / (2 * excess)
        if let previous {
            let before = previous.stepLength
            let excessBefore = previous.loss - start.loss - before * start.slope
            let (share, shareBefore) = (excess / (t * t), excessBefore / (before * before))
            let cubic = (share - shareBefore) / (t - before)
            let quadratic = (t * shareBefore - before * share) / (t - before)
            let discriminant = quadratic * quadratic - 3 * cubic * start.slope
            minimizer =
                cubic == 0
                ? -start.slope / (2 * quadratic)
                : (discriminant.squareRoot() - quadratic) / (3 * cubic)
        }
        guard minimizer.isFinite else { return bounds.upperBound * t }
        return min(max(minimizer, bounds.lowerBound * t), bounds.upperBound * t)
    }
}
