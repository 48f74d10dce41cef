/// torch's line search for the strong Wolfe conditions.
///
/// Theory. The conditions are
///
///     phi(t) <= phi(0) + c1 t phi'(0)        sufficient decrease, c1 = 1e-4
///     |phi'(t)| <= c2 |phi'(0)|              curvature, c2 = 0.9
///
/// They are met by bracketing and zoom, algorithms 3.5 and 3.6 of Nocedal & Wright, Numerical
/// Optimization (2nd edition, 2006), in the version of minFunc (Schmidt 2005) that
/// torch.optim.LBFGS follows. Bracketing extends the step until an interval must contain an
/// acceptable point. Zoom shrinks the interval and keeps its end with the lower loss. One budget
/// counts the trials after the first over both phases.
///
/// An infeasible trial has loss +infinity. Sufficient decrease then fails, and zoom contracts the
/// interval towards its feasible end, by halves, since no cubic goes through infinity. The start is
/// feasible, and so is whatever is accepted.
///
/// A start whose loss is not finite is feasible if it has a slope, and so are then trials of
/// infinite loss: every loss is a sufficient decrease, and the slopes decide. torch's comparisons
/// have this result. Where its cubic through infinity is NaN, and its parameters with it, this
/// search takes the middle. A trial whose loss is NaN is always infeasible.
package struct StrongWolfeSearch: Equatable, Sendable, Codable {
    static let sufficientDecrease = 1e-4  // c1; Nocedal & Wright, section 3.1
    static let curvature = 0.9  // c2; the same, for quasi-Newton directions
    /// The bounds on the factor of an extension (minFunc).
    static let extensionFactorMin = 0.01
    static let extensionFactorMax = 10.0
    /// A trial closer to an end than this share of the interval is no progress (minFunc).
    static let progressShareMin = 0.1

    /// Zoom ends when the interval changes no parameter by more than this. torch has this number
    /// whatever its option `tolerance_change` says, because it does not pass the option on.
    static let changeMin = 1e-9

    /// `bracketing -> zooming -> over`, or `bracketing -> over`.
    private enum Phase: Equatable, Sendable, Codable {
        /// `previous` is the trial before the pending one, or the start.
        case bracketing(previous: LineSearchPoint)
        case zooming(Bracket)
        case over
    }

    /// An interval with its ends in the order of torch's `bracket[0]` and `bracket[1]`.
    private struct Bracket: Equatable, Sendable, Codable {
        var ends: [LineSearchPoint]
        /// The index of the end with the lower loss.
        var low: Int
        var hadInsufficientProgress = false

        init(_ first: LineSearchPoint, _ second: LineSearchPoint) {
            ends = [first, second]
            low = 0
            order()
        }

        var high: Int { 1 - low }
        var lower: Double { min(ends[0].stepLength, ends[1].stepLength) }
        var upper: Double { max(ends[0].stepLength, ends[1].stepLength) }
        var length: Double { abs(ends[1].stepLength - ends[0].stepLength) }

        /// An infeasible end is never accepted.
        var retainedTrials: RetainedTrials {
            RetainedTrials(
                first: ends[0].isFeasible ? ends[0].trial : nil,
                second: ends[1].isFeasible ? ends[1].trial : nil)
        }

        /// The interval's lower end can be accepted, so it must be feasible.
        func validate(_ path: String, trials: Int) throws(SnapshotError) {
            try require(ends.count == 2, path + ".ends", "must have 2 points, not \(ends.count)")
            for (index, end) in ends.enumerated() {
                try end.validate("\(path).ends[\(index)]", trials: trials)
            }
            try require(low == 0 || low == 1, path + ".low", "must be 0 or 1, not \(low)")
            try require(ends[low].isFeasible, "\(path).ends[\(low)].slope", "must be finite")
        }

        /// Updates `low`.
        mutating func order() {
            let isFirstLow = ends[0].loss <= ends[1].loss || !ends[1].isFeasible
            low = ends[0].isFeasible && isFirstLow ? 0 : 1
        }
    }

    let start: LineSearchPoint
    /// ||d||_inf, which turns a length on the line into a change of parameters.
    private var directionNormInf: Double
    /// The most trials after the first.
    private let extraTrialsMax: Int
    package private(set) var trials = 0
    /// How many trials were feasible.
    private(set) var feasibleTrials = 0
    /// t of the pending trial.
    package private(set) var pendingStepLength: Double
    /// `LineSearchPoint.isTensor` of it.
    private var pendingIsTensor: Bool?
    private var phase: Phase

    /// Creates a search whose first trial is at `stepLength`.
    /// - Parameters:
    ///   - loss: phi(0).
    ///   - slope: phi'(0), which is negative.
    ///   - stepLength: t of the first trial.
    ///   - directionNormInf: ||d||_inf.
    ///   - extraTrialsMax: The most trials after the first.
    ///   - isTensor: `LineSearchPoint.isTensor` of the first trial; nil outside torch's order.
    package init(
        loss: Double, slope: Double, stepLength: Double, directionNormInf: Double,
        extraTrialsMax: Int, isTensor: Bool? = nil
    ) {
        start = LineSearchPoint(
            trial: 0, stepLength: 0, loss: loss, slope: slope,
            isTensor: isTensor == nil ? nil : false)
        pendingIsTensor = isTensor
        self.directionNormInf = directionNormInf
        self.extraTrialsMax = extraTrialsMax
        pendingStepLength = stepLength
        phase = .bracketing(previous: start)
    }

    /// The search with the slope at its start and the direction's norm as they were measured along
    /// with the pending trial. The slope is replaced only if that trial is the first.
    func measured(slope: Double, directionNormInf: Double) -> StrongWolfeSearch {
        guard trials == 0 else {
            var search = self
            search.directionNormInf = directionNormInf
            return search
        }
        return StrongWolfeSearch(
            loss: start.loss, slope: slope, stepLength: pendingStepLength,
            directionNormInf: directionNormInf, extraTrialsMax: extraTrialsMax,
            isTensor: pendingIsTensor)
    }

    /// The trials that may still be accepted, whose gradients are therefore wanted. The start can
    /// always be.
    package var retainedTrials: RetainedTrials {
        switch phase {
        case .bracketing(let previous): RetainedTrials(first: previous.trial)
        case .zooming(let bracket): bracket.retainedTrials
        case .over: RetainedTrials()
        }
    }

    func validate(_ path: String) throws(SnapshotError) {
        try start.validate(path + ".start", trials: 0)
        try require(start.isFeasible, path + ".start.slope", "must be finite")
        try requireStepLength(directionNormInf, path + ".directionNormInf")
        try requireCount(trials, path + ".trials")
        try requireCount(feasibleTrials, upTo: trials, path + ".feasibleTrials")
        try requireStepLength(pendingStepLength, path + ".pendingStepLength")
        switch phase {
        case .bracketing(let previous):
            let path = path + ".phase.bracketing.previous"
            try previous.validate(path, trials: trials)
            try require(previous.isFeasible, path + ".slope", "must be finite")
        case .zooming(let interval):
            try interval.validate(path + ".phase.zooming", trials: trials)
        case .over:
            throw .invalid(field: path + ".phase", reason: "is over, and a trial is pending")
        }
    }

    /// Answers the pending trial. A slope that is not finite makes it infeasible, and so does a
    /// loss that is not finite, unless it is infinite and the start's is not finite either.
    /// - Parameters:
    ///   - loss: phi(t).
    ///   - slope: phi'(t).
    package mutating func advance(loss: Double, slope: Double) -> LineSearchDirective {
        trials += 1
        let point: LineSearchPoint
        if slope.isFinite, loss.isFinite || (loss == .infinity && !start.loss.isFinite) {
            feasibleTrials += 1
            point = LineSearchPoint(
                trial: trials, stepLength: pendingStepLength, loss: loss, slope: slope,
                isTensor: pendingIsTensor)
        } else {
            point = .infeasible(
                trial: trials, stepLength: pendingStepLength, isTensor: pendingIsTensor)
        }
        switch phase {
        case .bracketing(let previous): return bracket(point, previous: previous)
        case .zooming(let interval): return zoom(into: interval, with: point)
        case .over: preconditionFailure("the search was over: \(self)")
        }
    }

    private var isBudgetSpent: Bool { trials > extraTrialsMax }

    private func decreasesSufficiently(_ point: LineSearchPoint) -> Bool {
        point.isFeasible
            && !(point.loss > start.loss
                + StrongWolfeSearch.sufficientDecrease * point.stepLength * start.slope)
    }

    private func meetsCurvature(_ point: LineSearchPoint) -> Bool {
        abs(point.slope) <= -StrongWolfeSearch.curvature * start.slope
    }

    /// Bracketing (algorithm 3.5).
    private mutating func bracket(
        _ point: LineSearchPoint, previous: LineSearchPoint
    ) -> LineSearchDirective {
        if isBudgetSpent {
            // torch compares the start with the last trial here. If the last trial is infeasible,
            // the one before it, which decreased sufficiently, is the better end.
            let other = point.isFeasible ? start : previous
            return accept(other.loss <= point.loss || !point.isFeasible ? other : point)
        }
        if !decreasesSufficiently(point) || (trials > 2 && point.loss >= previous.loss) {
            return contract(Bracket(previous, point))
        }
        if meetsCurvature(point) { return accept(point) }
        if point.slope >= 0 { return contract(Bracket(previous, point)) }
        let span = point.stepLength - previous.stepLength
        let nearest = point.stepLength + StrongWolfeSearch.extensionFactorMin * span
        let farthest = min(
            point.stepLength * StrongWolfeSearch.extensionFactorMax, .greatestFiniteMagnitude)
        phase = .bracketing(previous: point)
        let next = cubicMinimizer(previous, point, bounds: min(nearest, farthest)...farthest)
        pendingIsTensor = isTensor(
            next, lower: isTensor(previous, point), upper: point.isTensor ?? false)
        return evaluate(next.stepLength)
    }

    /// Zoom (algorithm 3.6): replaces an end of the interval by the trial.
    private mutating func zoom(
        into bracket: Bracket, with point: LineSearchPoint
    ) -> LineSearchDirective {
        var interval = bracket
        let low = interval.ends[interval.low]
        if !decreasesSufficiently(point) || point.loss >= low.loss {
            interval.ends[interval.high] = point
            interval.order()
        } else {
            if meetsCurvature(point) { return accept(point) }
            let high = interval.ends[interval.high]
            if point.slope * (high.stepLength - low.stepLength) >= 0 {
                interval.ends[interval.high] = low
            }
            interval.ends[interval.low] = point
        }
        return contract(interval)
    }

    private func isTooShort(_ interval: Bracket) -> Bool {
        interval.length * directionNormInf < StrongWolfeSearch.changeMin
    }

    /// Chooses the next trial inside the interval, or accepts its lower end.
    private mutating func contract(_ bracket: Bracket) -> LineSearchDirective {
        var interval = bracket
        if isBudgetSpent || isTooShort(interval) {
            return accept(interval.ends[interval.low])
        }
        let (lower, upper) = (interval.lower, interval.upper)
        let next = cubicMinimizer(interval.ends[0], interval.ends[1], bounds: lower...upper)
        let isRising = interval.ends[0].stepLength <= interval.ends[1].stepLength
        pendingIsTensor = isTensor(
            next, lower: interval.ends[isRising ? 0 : 1].isTensor ?? false,
            upper: interval.ends[isRising ? 1 : 0].isTensor ?? false)
        var stepLength = next.stepLength
        let margin = StrongWolfeSearch.progressShareMin * (upper - lower)
        if min(upper - stepLength, stepLength - lower) < margin {
            let isAtEnd = stepLength >= upper || stepLength <= lower
            if interval.hadInsufficientProgress || isAtEnd {
                let isNearUpper = abs(stepLength - upper) < abs(stepLength - lower)
                stepLength = isNearUpper ? upper - margin : lower + margin
                pendingIsTensor = pendingIsTensor.map { _ in
                    isTensor(interval.ends[0], interval.ends[1])
                }
                interval.hadInsufficientProgress = false
            } else {
                interval.hadInsufficientProgress = true
            }
        } else {
            interval.hadInsufficientProgress = false
        }
        phase = .zooming(interval)
        return evaluate(stepLength)
    }

    private func isTensor(_ one: LineSearchPoint, _ other: LineSearchPoint) -> Bool {
        one.isTensor ?? false || other.isTensor ?? false
    }

    /// Whether torch's `_cubic_interpolate` returns a tensor; its minimum always is one.
    private func isTensor(_ next: Interpolation, lower: Bool, upper: Bool) -> Bool? {
        guard pendingIsTensor != nil else { return nil }
        return switch next {
        case .minimum: true
        case .lower: lower
        case .upper: upper
        case .middle: lower || upper
        }
    }

    private mutating func evaluate(_ stepLength: Double) -> LineSearchDirective {
        pendingStepLength = stepLength
        return .evaluate(stepLength: stepLength)
    }

    private mutating func accept(_ point: LineSearchPoint) -> LineSearchDirective {
        phase = .over
        return .accept(point)
    }
}
