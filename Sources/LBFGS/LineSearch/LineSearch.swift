/// What a line search starts from.
package struct LineSearchSetting: Equatable, Sendable, Codable {
    /// phi(0) and phi'(0), which is negative.
    package var start: LineSearchPoint
    /// How much the evaluation's noise may change a loss: a loss this much above phi(0) is not
    /// known to be above it (epsilon_k of Hager & Zhang 2005).
    package var lossNoise: Double
    /// The first trial.
    package var stepLength: Double
    /// ||d||_inf
    package var directionNormInf: Double
    /// Trials allowed, at least 1.
    package var trialsMax: Int

    package init(
        loss: Double, slope: Double, lossNoise: Double, stepLength: Double,
        directionNormInf: Double, trialsMax: Int
    ) {
        start = LineSearchPoint(trial: 0, stepLength: 0, loss: loss, slope: slope)
        self.lossNoise = lossNoise
        self.stepLength = stepLength
        self.directionNormInf = directionNormInf
        self.trialsMax = trialsMax
    }
}

/// What a line search of robust mode wants next.
package enum SearchDirective: Equatable, Sendable {
    /// phi and phi' at this step length, as the next trial.
    case evaluate(stepLength: Double)
    /// Go to this trial: its conditions hold.
    case accept(LineSearchPoint)
    /// No trial met the conditions. The numbers are those of the interval that was left.
    case giveUp(lower: Double, upper: Double)
}

/// The line searches of robust mode behind one face: a machine over scalars, whose `advance`
/// answers the trial asked for last. Each ends within its budget of trials, whatever it is told.
package struct LineSearch: Equatable, Sendable, Codable {
    private enum Method: Equatable, Sendable, Codable {
        case hagerZhang(HagerZhangSearch)
        case moreThuente(MoreThuenteSearch)
        case backtracking(BacktrackingSearch)
        case strongWolfe(StrongWolfeSearch)
    }

    package let setting: LineSearchSetting
    package private(set) var trials = 0
    /// Trials that turned out feasible.
    package private(set) var feasibleTrials = 0
    package private(set) var pendingStepLength: Double
    /// The lowest loss on the line; the start when no trial is lower.
    package private(set) var best: LineSearchPoint
    /// The lowest loss of a trial; infinite before a feasible one.
    package private(set) var lowestTrialLoss = Double.infinity
    private var method: Method

    package init(_ function: Options.LineSearchFunction, _ setting: LineSearchSetting) {
        self.setting = setting
        pendingStepLength = setting.stepLength
        best = setting.start
        switch function {
        case .hagerZhang: method = .hagerZhang(HagerZhangSearch(setting))
        case .moreThuente: method = .moreThuente(MoreThuenteSearch(setting))
        case .backtracking: method = .backtracking(BacktrackingSearch(setting))
        case .strongWolfe:
            method = .strongWolfe(
                StrongWolfeSearch(
                    loss: setting.start.loss, slope: setting.start.slope,
                    stepLength: setting.stepLength, directionNormInf: setting.directionNormInf,
                    extraTrialsMax: setting.trialsMax - 1))
        }
    }

    /// Trials whose gradient may still be wanted.
    package var retainedTrials: [Int] {
        switch method {
        case .hagerZhang, .moreThuente, .backtracking: [best.trial]
        case .strongWolfe(let search): [best.trial] + search.retainedTrials
        }
    }

    /// Answers the pending trial; a slope that isn't finite makes it infeasible, and so does a loss
    /// that isn't, unless it is infinite as at the start. A trial whose slope alone overflows may
    /// still be the best.
    package mutating func advance(loss: Double, slope: Double) -> SearchDirective {
        trials += 1
        // The slope is infinite, not NaN, so that a state equals its copy.
        var point = LineSearchPoint(
            trial: trials, stepLength: pendingStepLength, loss: .infinity, slope: .infinity)
        if loss.isFinite || (loss == .infinity && setting.start.loss == .infinity), slope.isFinite {
            feasibleTrials += 1
            point.loss = loss
            point.slope = slope
        }
        if loss.isFinite {
            lowestTrialLoss = min(lowestTrialLoss, loss)
            if loss < best.loss {
                best = point
                best.loss = loss
            }
        }
        let directive = answer(point)
        switch directive {
        case .evaluate(let stepLength):
            if trials >= setting.trialsMax {
                return .giveUp(lower: best.stepLength, upper: stepLength)
            }
            pendingStepLength = stepLength
        case .accept, .giveUp:
            break
        }
        return directive
    }

    private mutating func answer(_ point: LineSearchPoint) -> SearchDirective {
        switch method {
        case .hagerZhang(var search):
            let directive = search.advance(point)
            method = .hagerZhang(search)
            return directive
        case .moreThuente(var search):
            let directive = search.advance(point)
            method = .moreThuente(search)
            return directive
        case .backtracking(var search):
            let directive = search.advance(point)
            method = .backtracking(search)
            return directive
        case .strongWolfe(var search):
            let directive = search.advance(loss: point.loss, slope: point.slope)
            method = .strongWolfe(search)
            switch directive {
            case .evaluate(let stepLength): return .evaluate(stepLength: stepLength)
            case .accept(let accepted) where accepted.trial > 0: return .accept(accepted)
            case .accept: return .giveUp(lower: 0, upper: point.stepLength)
            }
        }
    }
}

/// When a trial is good enough (Hager & Zhang 2005, equations 1.3 to 1.5; 2006, section 2).
///
///     phi(t) - phi(0) <= delta t phi'(0)  and  phi'(t) >= sigma phi'(0)         Wolfe
///     phi(t) <= phi(0) + epsilon_k  and
///     (2 delta - 1) phi'(0) >= phi'(t) >= sigma phi'(0)                         approximate Wolfe
///
/// Near a minimum the first pair asks for a difference of losses that is below their rounding
/// error. The second says the same of a quadratic in slopes, which are known to full precision
/// there, so that a gradient can be reduced to the precision of the evaluation and not only to its
/// square root.
///
/// Where phi(0) is infinite, which is too large for the precision of the evaluation, any finite
/// loss is a sufficient decrease, and of an infinite one nothing is known but the slope: the second
/// pair decides.
struct WolfeConditions: Equatable, Sendable, Codable {
    let start: LineSearchPoint
    let lossNoise: Double
    let sufficientDecrease: Double
    let curvature: Double

    func hold(at point: LineSearchPoint) -> Bool {
        guard point.isFeasible, point.slope >= curvature * start.slope else { return false }
        return decreasesSufficiently(point)
            || (isNoHigher(point) && point.slope <= (2 * sufficientDecrease - 1) * start.slope)
    }

    func decreasesSufficiently(_ point: LineSearchPoint) -> Bool {
        point.loss < .infinity
            && point.loss <= start.loss + sufficientDecrease * point.stepLength * start.slope
    }

    /// Not above the start by more than noise.
    func isNoHigher(_ point: LineSearchPoint) -> Bool {
        point.loss <= start.loss + lossNoise
    }
}
