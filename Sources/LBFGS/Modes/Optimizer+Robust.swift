/// Robust mode: the same events as in torch mode, with transitions of its own.
///
///     evaluate f, g at x, unless they are known                                opening
///     repeat
///         keep the pair s = t d, y = g - g_before, if y.s > 4 eps ||s|| max(||g||, ||g_before||)
///         d = -H g, or -g scaled when the history is empty; t = 1
///         find a point by a line search                                        probing
///             no point: forget the history and begin again; the third time in a row without
///             progress ends the step
///     until a tolerance is met or a budget is spent
///
/// Theory: y is a difference of gradients, each with a rounding error of up to eps ||g||, eps
/// being the precision of the evaluation. So y.s is known to some 2 eps ||s|| max(||g||, ||g+||),
/// and a pair whose curvature isn't clearly above that says nothing about the function. torch's
/// bound 1e-10 is absolute: it refuses good pairs of functions that are small and takes noise from
/// ones that are large.
///
/// Where a step begins without a finite loss, any finite one is lower, and infinite ones are told
/// apart by their slopes: `WolfeConditions`.
///
/// A step ends at the point of the lowest loss that it has seen; if it converged, at the point
/// that met the tolerance, whose loss is the lowest but for noise.
enum RobustConstants {
    /// Twice the worst rounding error of y.s, above. 0.1 in its place made no difference to how
    /// many of 67 CUTEst problems were solved, in either precision.
    static let curvatureFactor = 4.0
    /// Losses are compared up to this many units of rounding. 1, 10 and 100 solved the same CUTEst
    /// problems; 10 leaves room for a sum's rounding errors.
    static let lossNoiseFactor = 10.0
    /// Trials of one line search. SciPy allows 20, CG_DESCENT 50 expansions and 50 secant steps; 30
    /// and 60 solved the same CUTEst problems.
    static let trialsMax = 30
    /// Failed line searches in a row without progress that a step survives.
    static let restartsMax = 2
    /// Iterations without progress after which a step ends. CG_DESCENT has such a count too, 1000
    /// (`nslow`; Hager & Zhang, user's guide of version 6). On 67 CUTEst problems, in both
    /// precisions, no run that came to be solved went more than 20 evaluations without progress.
    static let standstillMax = 100
}

extension Optimizer {
    /// The relative precision of the caller's evaluation.
    private var epsilon: Double {
        progress.options.noise?.epsilon ?? Double(Scalar.ulpOfOne)
    }

    /// How much noise may change a loss like this one; an infinite one is above all others.
    private func lossNoise(at loss: Double) -> Double {
        loss.isFinite ? RobustConstants.lossNoiseFactor * epsilon * abs(loss) : 0
    }

    /// Whether ||g||_inf at the current point meets a tolerance.
    var isOptimal: Bool { isOptimal(gradientNormInf) }

    private func isOptimal(_ gradientNormInf: Double) -> Bool {
        let options = progress.options
        let relative = options.toleranceGradientRelative * (memory.initialGradientNormInf ?? 0)
        return gradientNormInf <= max(options.toleranceGradient, relative)
    }

    /// Whether the last iteration changed the loss by no more than `tolerance_loss_relative`.
    var changesTooLittle: Bool {
        let tolerance = progress.options.toleranceLossRelative
        guard tolerance > 0, let loss, let previousLoss, loss.isFinite, previousLoss.isFinite
        else { return false }
        return abs(loss - previousLoss) <= tolerance * max(abs(loss), abs(previousLoss))
    }
}

// MARK: - An iteration

extension Optimizer {
    mutating func beginRobustIteration() -> Directive {
        guard let loss else { preconditionFailure("an iteration begins where the loss is known") }
        let options = progress.options
        if progress.evaluations >= options.maxEvaluations { return end(.maxEvaluations) }
        if standsStill(at: loss) { return end(.withinNoise) }
        progress.iterations += 1
        iterationCount += 1
        if iterationCount == 1 { history.removeAll() }
        keepPair()
        var firstStepLength = 1.0
        var slope: Double
        if history.pairs.isEmpty {
            firstStepLength = iterationCount == 1 ? options.lr : 1
            slope = directSteepestDescent()
        } else {
            slope = direct(firstStepLength: firstStepLength)
        }
        if !(slope < 0 && slope.isFinite && directionNormInf.isFinite), !history.pairs.isEmpty {
            // Rounding has spoilt the direction.
            history.removeAll()
            slope = directSteepestDescent()
        }
        previousGradient = gradient
        previousLoss = loss
        stepLength = 0
        guard slope.isFinite, directionNormInf.isFinite else { return end(.nonFinite) }
        guard slope < 0 else { return end(.notADescentDirection) }

        trialGradients = [:]
        let search = LineSearch(
            options.lineSearch ?? .hagerZhang,
            LineSearchSetting(
                // Trials can be compared with infinity, and can't with NaN.
                loss: loss.isFinite ? loss : .infinity, slope: slope,
                lossNoise: lossNoise(at: loss),
                stepLength: firstStepLength, directionNormInf: directionNormInf,
                trialsMax: min(
                    RobustConstants.trialsMax, options.maxEvaluations - progress.evaluations)))
        return follow(.evaluate(stepLength: firstStepLength), of: search)
    }

    /// Takes note of the point where an iteration begins; returns whether there have been as many
    /// without progress as are enough.
    private mutating func standsStill(at loss: Double) -> Bool {
        guard numerics >= 2 else { return false }
        guard let last = progress.standstill else {
            progress.standstill = .init(loss: loss, gradientNormInf: gradientNormInf)
            return false
        }
        let hasFallen = loss < last.loss - lossNoise(at: last.loss)
        let hasFlattened = gradientNormInf < last.gradientNormInf
        let iterations = hasFallen || hasFlattened ? 0 : last.iterations + 1
        progress.standstill = .init(
            loss: hasFallen ? loss : last.loss,
            gradientNormInf: min(gradientNormInf, last.gradientNormInf), iterations: iterations)
        return iterations >= RobustConstants.standstillMax
    }

    /// Offers the pair of the last iteration to the history, and takes the dot products that the
    /// next direction needs.
    private mutating func keepPair() {
        guard !previousGradient.isEmpty, stepLength != 0 else { return history.project(gradient) }
        let stepNorm = abs(stepLength) * Scalar.dot(direction, direction).squareRoot()
        let gradientNorm = max(
            Scalar.dot(gradient, gradient), Scalar.dot(previousGradient, previousGradient)
        ).squareRoot()
        let joined = history.learn(
            lastStep, gradient: gradient, sizeMax: progress.options.historySize,
            curvatureMin: RobustConstants.curvatureFactor * epsilon * stepNorm * gradientNorm)
        if joined { memory.scale = history.initialScale }
    }

    /// Goes down the gradient; returns the slope.
    private mutating func directSteepestDescent() -> Double {
        (direction, alphas) = (steepestDescent(), nil)
        buffers.placed = nil
        directionNormInf = Scalar.normInf(direction)
        return Scalar.dot(gradient, direction)
    }

    /// -g, scaled so that a step length of 1 is a fair first trial: by gamma = s.y / y.y where a
    /// pair is known (Nocedal & Wright 2006, equation 7.20), unless that has just failed.
    private func steepestDescent() -> [Scalar] {
        if let scale = memory.scale, memory.failures < RobustConstants.restartsMax {
            return Scalar.scaled(gradient, by: -scale)
        }
        // A change of length 1, as L-BFGS-B begins (Zhu et al. 1997, lnsrlb). In two steps, so that
        // the square of a gradient neither overflows nor vanishes.
        let unit = Scalar.scaled(gradient, by: -1 / max(gradientNormInf, .leastNormalMagnitude))
        let length = Scalar.dot(unit, unit).squareRoot()
        return length > 0 ? Scalar.scaled(unit, by: 1 / length) : unit
    }
}

// MARK: - A line search

extension Optimizer {
    /// Answers a trial that is feasible.
    mutating func probe(
        _ search: LineSearch, loss: Double, gradient: [Scalar], _ inspection: Inspection
    ) -> Directive {
        var search = search
        let stepLength = search.pendingStepLength
        let slope = inspection.slope
        buffers.trialNormInf = inspection.normInf
        let directive = search.advance(loss: loss, slope: slope)
        if loss < progress.bestLoss {
            noteTrial(loss: loss, inspection, stepLength: stepLength)
        }
        trialGradients[search.trials] = gradient
        let start = search.setting.start
        if slope.isFinite, loss.isFinite, loss <= start.loss + search.setting.lossNoise,
            isOptimal(inspection.normInf)
        {
            // Whatever the search still wants: this is what the step is for.
            return follow(
                .accept(
                    LineSearchPoint(
                        trial: search.trials, stepLength: stepLength, loss: loss, slope: slope)),
                of: search)
        }
        return follow(directive, of: search)
    }

    /// Does what the line search wants. Trial points that overflow are infeasible without asking.
    mutating func follow(_ directive: SearchDirective, of search: LineSearch) -> Directive {
        var (directive, search) = (directive, search)
        while true {
            switch directive {
            case .evaluate(let stepLength):
                let isFinite = placeTrial(at: stepLength)
                if stepLength < search.setting.stepLength, trialPoint == parameters {
                    // Contracted until no parameter changes any more.
                    directive = .giveUp(lower: 0, upper: stepLength)
                } else if isFinite {
                    let retained = search.retainedTrials
                    trialGradients = trialGradients.filter { retained.contains($0.key) }
                    phase = .probing(search)
                    return .evaluate(
                        Trial(stepLength: stepLength, iteration: progress.iterations))
                } else {
                    directive = search.advance(loss: .infinity, slope: .nan)
                }
            case .accept(let point):
                let isNewest = point.trial == search.trials
                move(to: point, at: isNewest ? trialPoint : nil, search: search)
                noteProgress()
                if let reason = reasonToEnd() { return end(reason) }
                return beginRobustIteration()
            case .giveUp(let lower, let upper):
                return fail(search, lower: lower, upper: upper)
            }
        }
    }

    /// Goes to a trial of the line search and keeps the best point's bits if it isn't that one.
    /// - Parameter known: x + t d, if it has been worked out.
    private mutating func move(
        to point: LineSearchPoint, at known: [Scalar]? = nil, search: LineSearch
    ) {
        guard let accepted = trialGradients[point.trial] else {
            preconditionFailure("trial \(point.trial) was accepted but not kept")
        }
        let destination =
            known ?? Scalar.moved(parameters, along: direction, by: point.stepLength)
        switch progress.bestLocation {
        case .trial(let best) where best == point.stepLength:
            progress.bestLocation = .current
        case .trial(let best):
            bestPoint = Scalar.moved(parameters, along: direction, by: best)
            bestGradient = trialGradients[search.best.trial] ?? []
            progress.bestLocation = .kept
        case .current where !(point.loss <= progress.bestLoss):
            bestPoint = parameters
            bestGradient = gradient
            progress.bestLocation = .kept
        case .current, .kept:
            break
        }
        swap(&parameters, &buffers.spare)
        parameters = destination
        stepLength = point.stepLength
        loss = point.loss
        gradient = accepted
        gradientNormInf = known != nil ? buffers.trialNormInf : Scalar.normInf(accepted)
        memory.isEvaluated = true
        trialGradients = [:]
        if progress.bestLocation == .current { (bestPoint, bestGradient) = ([], []) }
    }

    /// Failures count as long as the loss stays where they happened.
    private mutating func noteProgress() {
        guard let loss, let before = memory.lossAtFailure else { return }
        guard loss < before - lossNoise(at: before) else { return }
        memory.failures = 0
        memory.lossAtFailure = nil
    }

    /// The line search found no acceptable point.
    private mutating func fail(
        _ search: LineSearch, lower: Double, upper: Double
    ) -> Directive {
        let best = search.best
        if best.trial > 0 { move(to: best, search: search) }
        noteProgress()
        if let reason = reasonToEnd(searchFailed: true) { return end(reason) }
        history.removeAll()
        memory.failures += 1
        memory.lossAtFailure = loss
        guard memory.failures > RobustConstants.restartsMax else { return beginRobustIteration() }
        let start = search.setting.start
        let hasTrial = search.lowestTrialLoss < .infinity
        let failure = LineSearchFailure(
            stepLengthLower: lower, stepLengthUpper: upper, slope: start.slope,
            lossChange: hasTrial ? search.lowestTrialLoss - start.loss : nil,
            lossNoise: search.setting.lossNoise, directionNormInf: search.setting.directionNormInf,
            trials: search.trials)
        return hasTrial ? end(.lineSearchFailed, failure: failure) : end(.nonFinite)
    }
}

// MARK: - The end

extension Optimizer {
    /// Tolerances come before budgets: who has converged is told so. A small change is no sign of
    /// convergence when it comes from a line search that failed.
    private func reasonToEnd(searchFailed: Bool = false) -> StopReason? {
        let options = progress.options
        if isOptimal { return .gradientTolerance }
        if stepLength != 0, !searchFailed {
            let change = options.toleranceChange
            if change > 0, abs(stepLength) * directionNormInf <= change { return .stepTolerance }
            if change > 0, let loss, let previousLoss, abs(loss - previousLoss) < change {
                return .lossTolerance
            }
            if changesTooLittle { return .lossTolerance }
        }
        if progress.iterations >= options.maxIterations { return .maxIterations }
        if progress.evaluations >= options.maxEvaluations { return .maxEvaluations }
        return nil
    }

    private mutating func end(
        _ reason: StopReason, failure: LineSearchFailure? = nil
    ) -> Directive {
        switch reason {
        case .gradientTolerance, .stepTolerance, .lossTolerance, .maxIterations:
            guard let loss, loss > progress.bestLoss + lossNoise(at: progress.bestLoss),
                reason != .gradientTolerance
            else { break }
            returnToBest()
        case .maxEvaluations, .notADescentDirection, .nonFinite, .lineSearchFailed, .withinNoise,
            .stopped:
            returnToBest()
        }
        return finish(reason, failure: failure)
    }

    private mutating func returnToBest() {
        guard progress.bestLocation == .kept, !bestGradient.isEmpty else { return }
        parameters = bestPoint
        gradient = bestGradient
        loss = progress.bestLoss
        gradientNormInf = progress.bestGradientNormInf
        stepLength = 0
        progress.bestLocation = .current
    }

    /// When a step is stopped in the middle of a line search: goes to the best point of the step.
    mutating func takeBest(of search: LineSearch) {
        if case .trial = progress.bestLocation { move(to: search.best, search: search) }
        if progress.bestLocation == .kept {
            returnToBest()
        }
    }
}
