/// The constants of mode `robust`.
///
/// Theory. y = g+ - g is a difference of gradients, and each has a rounding error of up to eps
/// ||g||, where eps is the precision of the evaluation. So y.s is known to about 2 eps ||s||
/// max(||g||, ||g+||), and a pair whose curvature is not clearly above that says nothing about the
/// function. torch's bound of 1e-10 is absolute: it refuses good pairs of functions that are small,
/// and accepts noise from functions that are large.
///
/// A line search that finds no acceptable point empties the history and begins again along the
/// gradient; the third failure in a row without progress ends the step. A step ends at the point
/// of the lowest loss that it has seen. If it converged, it ends at the point that met the
/// tolerance, whose loss is the lowest up to noise.
///
/// Where a step begins without a finite loss, any finite loss is lower, and infinite ones are told
/// apart by their slopes: see `WolfeConditions`.
enum RobustConstants {
    /// Twice the worst rounding error of y.s, see above. With 0.1 instead, as many of 67 CUTEst
    /// problems were solved, in either precision.
    static let curvatureFactor = 4.0
    /// Losses are compared up to this many units of rounding. 1, 10 and 100 solved the same CUTEst
    /// problems; 10 allows for the rounding errors of a sum.
    static let lossNoiseFactor = 10.0
    /// The same for the searches of an optimizer with bounds or an L1 term. With 10 one or two of
    /// 59 bounded problems, depending on the first step, ended at the precision of their loss; 100,
    /// 1000 and 10,000 solved all in the same number of evaluations. Without bounds it is as above,
    /// because recorded runs depend on it.
    static let lossNoiseFactorInBox = 100.0
    /// Trials of one line search. SciPy allows 20, CG_DESCENT 50 expansions and 50 secant steps; 30
    /// and 60 solved the same CUTEst problems.
    static let trialsMax = 30
    /// Failed line searches in a row without progress that a step survives.
    static let restartsMax = 2
    /// Iterations without progress after which a step ends. CG_DESCENT has such a limit too, 1000
    /// (`nslow`; Hager & Zhang, user's guide of version 6). On 67 CUTEst problems, in both
    /// precisions, no run that was solved in the end went more than 20 evaluations without
    /// progress.
    static let stagnantIterationsMax = 100
}

extension StepMachine {
    /// The relative precision of the caller's evaluation.
    var epsilon: Double {
        progress.options.noise?.epsilon ?? unitRoundoff
    }

    /// How much noise may change a loss of this size; an infinite one is above all others.
    private func lossNoise(at loss: Double) -> Double {
        loss.isFinite ? RobustConstants.lossNoiseFactor * epsilon * abs(loss) : 0
    }
}

// MARK: - Before an iteration

extension StepMachine {
    mutating func robustReasonNotToIterate() -> StopReason? {
        guard let loss else { preconditionFailure("an iteration begins where f is known") }
        if progress.evaluations >= progress.options.maxEvaluations { return .maxEvaluations }
        return hasStagnated(at: loss) ? .withinNoise : nil
    }

    /// Updates the test for a lack of progress by the point where an iteration begins. Returns
    /// whether there have been too many iterations without progress.
    private mutating func hasStagnated(at loss: Double) -> Bool {
        guard numerics >= 2 else { return false }
        guard let last = progress.stagnation else {
            progress.stagnation = .init(loss: loss, gradientNormInf: gradientNormInf)
            return false
        }
        let hasLowerLoss = loss < last.loss - lossNoise(at: last.loss)
        let hasSmallerGradient = gradientNormInf < last.gradientNormInf
        let iterations = hasLowerLoss || hasSmallerGradient ? 0 : last.iterations + 1
        progress.stagnation = .init(
            loss: hasLowerLoss ? loss : last.loss,
            gradientNormInf: min(gradientNormInf, last.gradientNormInf), iterations: iterations)
        return iterations >= RobustConstants.stagnantIterationsMax
    }
}

// MARK: - Direction

extension StepMachine {
    /// -H g, or -g scaled where the history is empty or rounding has spoilt the direction. The
    /// first trial is at 1; in the first iteration since the optimizer was created it is at lr.
    ///
    /// Sets `stepLength` to 0: if the search finds no point, no pair is formed.
    mutating func chooseRobustDirection() -> SearchDirection {
        if let line = chooseBoxDirectionIfAny() { return line }
        addLastPairAboveNoise()
        var line = SearchDirection(slope: 0, firstStepLength: 1)
        if !hasPairs {
            if iterationCount == 1 { line.firstStepLength = progress.options.lr }
            line.slope = useSteepestDescent(scale: steepestDescentScale)
        } else {
            line.slope = computeDirection(placingTrialAt: line.firstStepLength)
        }
        let isUsable = line.slope < 0 && line.slope.isFinite && directionNormInf.isFinite
        if !isUsable, hasPairs {
            removePairs()
            line.slope = useSteepestDescent(scale: steepestDescentScale)
        }
        stepLength = 0
        return line
    }

    /// Adds the last iteration's pair if its curvature is above the noise, and computes the dot
    /// products that the next direction needs. O(m n).
    private mutating func addLastPairAboveNoise() {
        guard let norms = lastStepNorms else { return prepareDirection() }
        let wasAdded = addLastPair(
            curvatureMin: RobustConstants.curvatureFactor * epsilon * norms.step * norms.gradient)
        if wasAdded { carried.lastScale = initialScale }
    }

    /// The scale at which a step length of 1 along -g is a fair first trial: gamma = s.y / y.y
    /// where a pair is known (Nocedal & Wright 2006, equation 7.20), unless that has just failed;
    /// nil for a change of length 1, as L-BFGS-B begins (Zhu et al. 1997, lnsrlb).
    private var steepestDescentScale: Double? {
        carried.failedSearches < RobustConstants.restartsMax ? carried.lastScale : nil
    }
}

// MARK: - Line search

extension StepMachine {
    mutating func beginRobustSearch(along line: SearchDirection) -> Directive {
        guard let loss else { preconditionFailure("an iteration begins where f is known") }
        let options = progress.options
        let search = BudgetedLineSearch(
            options.lineSearch ?? .hagerZhang,
            LineSearchSetting(
                // Trials can be compared with infinity, and cannot with NaN.
                loss: loss.isFinite ? loss : .infinity, slope: line.slope,
                lossNoise: lossNoise(at: loss) * searchNoiseRatio,
                stepLength: line.firstStepLength,
                directionNormInf: directionNormInf,
                trialsMax: min(
                    RobustConstants.trialsMax, options.maxEvaluations - progress.evaluations),
                bend: line.bend))
        return perform(.evaluate(stepLength: line.firstStepLength), of: search)
    }

    private var searchNoiseRatio: Double {
        isBoxed ? RobustConstants.lossNoiseFactorInBox / RobustConstants.lossNoiseFactor : 1
    }

    /// Failed searches count until the loss is lower than where they failed.
    mutating func forgetFailedSearchesAfterProgress() {
        guard let loss, let before = carried.lossAtFailedSearch else { return }
        guard loss < before - lossNoise(at: before) else { return }
        carried.failedSearches = 0
        carried.lossAtFailedSearch = nil
    }

    /// Goes on after a search that found no acceptable trial: from its best trial, with an empty
    /// history. Ends the step after too many such searches.
    mutating func restart(
        after search: BudgetedLineSearch, lower: Double, upper: Double
    ) -> Directive {
        trialOutcome.accept(search.best.trial > 0 ? search.best.stepLength : 0)
        if search.best.trial > 0 { moveToTrial(search.best, bestTrial: search.best.trial) }
        forgetFailedSearchesAfterProgress()
        if let reason = terminationTest.robustReason(searchFailed: true) { return finish(reason) }
        removePairs()
        carried.failedSearches += 1
        carried.lossAtFailedSearch = loss
        guard carried.failedSearches > RobustConstants.restartsMax else { return beginIteration() }
        let start = search.setting.start
        let hasTrial = search.lowestTrialLoss < .infinity
        let failure = LineSearchFailure(
            stepLengthLower: lower, stepLengthUpper: upper, slope: start.slope,
            lossChange: hasTrial ? search.lowestTrialLoss - start.loss : nil,
            lossNoise: search.setting.lossNoise, directionNormInf: search.setting.directionNormInf,
            trials: search.trials)
        return hasTrial ? finish(.lineSearchFailed, failure: failure) : finish(.nonFinite)
    }
}

// MARK: - End of a step

extension StepMachine {
    /// A step returns to its best point, unless it has converged where it is.
    func robustReturnsToBest(after reason: StopReason) -> Bool {
        switch reason {
        case .gradientTolerance:
            return false
        case .stepTolerance, .lossTolerance, .maxIterations:
            guard let loss else { return false }
            return loss > progress.bestLoss + lossNoise(at: progress.bestLoss)
        case .maxEvaluations, .notADescentDirection, .nonFinite, .lineSearchFailed, .withinNoise,
            .stopped:
            return true
        }
    }
}
