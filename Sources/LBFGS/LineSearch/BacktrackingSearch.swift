/// A line search for sufficient decrease alone.
///
/// Theory. A trial is accepted if
///
///     phi(t) <= phi(0) + c1 t phi'(0),  c1 = 1e-4
///
/// Otherwise the step is contracted: first to the minimum of the quadratic through phi(0), phi'(0)
/// and phi(t), and from the second failure on to that of the cubic which also goes through the
/// trial before it, in each case within [0.1, 0.5] of the last (Dennis & Schnabel 1983, algorithm
/// A6.3.1; Nocedal & Wright 2006, section 3.5). After an infeasible trial the step is halved. A
/// loss above phi(0) by no more than noise counts as a decrease if the slope there has not grown.
///
/// The search does not ask for curvature: the history may refuse the pair of such a step.
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

    func validate(_ path: String, trials: Int) throws(SnapshotError) {
        try conditions.validate(path + ".conditions")
        try previous?.validate(path + ".previous", trials: trials)
    }

    /// Answers the pending trial. `BudgetedLineSearch` counts the trials.
    package mutating func advance(_ point: LineSearchPoint) -> LineSearchDirective {
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
        // How far phi(t) is above the tangent at 0.
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
