/// A line search of robust mode: one of four methods, within a budget of trials.
///
/// It ends within its budget whatever the trials' answers are, and keeps track of the best trial.
package struct BudgetedLineSearch: Equatable, Sendable, Codable {
    private enum Method: Equatable, Sendable, Codable {
        case hagerZhang(HagerZhangSearch)
        case moreThuente(MoreThuenteSearch)
        case backtracking(BacktrackingSearch)
        case strongWolfe(StrongWolfeSearch)
    }

    package private(set) var setting: LineSearchSetting
    package private(set) var trials = 0
    /// How many trials were feasible.
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

    /// The search with the slope at its start and the direction's norm as they were measured along
    /// with the pending trial. The slope is replaced only if that trial is the first.
    func measured(slope: Double, directionNormInf: Double) -> BudgetedLineSearch {
        var search = self
        search.setting.directionNormInf = directionNormInf
        if trials == 0 {
            search.setting.start.slope = slope
            return BudgetedLineSearch(function, search.setting)
        }
        if case .strongWolfe(let inner) = method {
            search.method = .strongWolfe(
                inner.measured(slope: slope, directionNormInf: directionNormInf))
        }
        return search
    }

    private var function: Options.LineSearchFunction {
        switch method {
        case .hagerZhang: .hagerZhang
        case .moreThuente: .moreThuente
        case .backtracking: .backtracking
        case .strongWolfe: .strongWolfe
        }
    }

    /// The trials that may still be accepted, whose gradients are therefore wanted.
    package var retainedTrials: RetainedTrials {
        var retained =
            switch method {
            case .hagerZhang, .moreThuente, .backtracking: RetainedTrials()
            case .strongWolfe(let search): search.retainedTrials
            }
        retained.best = best.trial
        return retained
    }

    func validate(_ path: String) throws(SnapshotError) {
        try setting.validate(path + ".setting")
        try requireCount(trials, upTo: setting.trialsMax, path + ".trials")
        try requireCount(feasibleTrials, upTo: trials, path + ".feasibleTrials")
        try requireStepLength(pendingStepLength, path + ".pendingStepLength")
        try best.validate(path + ".best", trials: trials)
        let path = path + ".method"
        switch method {
        case .hagerZhang(let search):
            try search.validate(path + ".hagerZhang", trials: trials, pending: pendingStepLength)
        case .moreThuente(let search):
            try search.validate(path + ".moreThuente", trials: trials)
        case .backtracking(let search):
            try search.validate(path + ".backtracking", trials: trials)
        case .strongWolfe(let search):
            let path = path + ".strongWolfe"
            try search.validate(path)
            // Both number the same trials.
            try require(
                search.trials == trials, path + ".trials",
                "must be \(trials), not \(search.trials)")
            try require(
                search.pendingStepLength == pendingStepLength, path + ".pendingStepLength",
                "must be \(pendingStepLength), not \(search.pendingStepLength)")
        }
    }

    /// Answers the pending trial. A slope that is not finite makes it infeasible, and so does a
    /// loss that is not finite, unless both it and the start's are infinite. A trial whose slope
    /// alone overflows may still be the best.
    /// - Parameters:
    ///   - loss: phi(t).
    ///   - slope: phi'(t).
    package mutating func advance(loss: Double, slope: Double) -> LineSearchDirective {
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
        let directive = advanceMethod(by: point)
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

    private mutating func advanceMethod(by point: LineSearchPoint) -> LineSearchDirective {
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
            if case .accept(let accepted) = directive, accepted.trial == 0 {
                return .giveUp(lower: 0, upper: point.stepLength)
            }
            return directive
        }
    }
}
