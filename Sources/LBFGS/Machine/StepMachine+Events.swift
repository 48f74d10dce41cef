// What the events of any machine have in common. Each ends with a directive; the transitions
// between them are in `StepMachine+Iteration.swift`.

extension StepMachine {
    /// Begins a step.
    /// - Precondition: No step is running.
    mutating func begin(options stepOptions: Options?) -> Directive {
        precondition(phase == .idle, "a step runs already: \(phase)")
        progress = StepProgress(options: stepOptions ?? options)
        precondition(!isBoxed || progress.options.mode == .robust, "bounds need mode robust")
        (carried.failedSearches, carried.lossAtFailedSearch) = (0, nil)
        placeTrialAtParameters()
        if progress.options.reuseEvaluation, carried.isEvaluated, let loss {
            progress.lossBefore = loss
            adoptEvaluation(loss: loss, gradient: gradient, gradientNormInf: gradientNormInf)
            return isOptimal ? finish(.gradientTolerance) : beginIteration()
        }
        phase = .evaluatingStart
        return .evaluate(Trial(stepLength: 0, iteration: 0))
    }

    /// Answers the pending evaluation by a feasible point.
    mutating func advance(
        loss: Double, gradient: Gradient, _ inspection: Inspection
    ) -> Directive {
        countEvaluation()
        updateCarriedBest(loss: loss, inspection)
        switch phase {
        case .idle:
            preconditionFailure("no step runs")
        case .evaluatingStart:
            trialOutcome = TrialOutcome(acceptedStepLength: 0)
            progress.lossBefore = loss
            adoptEvaluation(loss: loss, gradient: gradient, gradientNormInf: inspection.normInf)
            return isOptimal ? finish(.gradientTolerance) : beginIteration()
        case .evaluatingFixedStep(let stepLength):
            trialOutcome = TrialOutcome(acceptedStepLength: stepLength)
            moveParameters(by: stepLength, isTrial: true, loss: loss)
            adoptEvaluation(loss: loss, gradient: gradient, gradientNormInf: inspection.normInf)
            return endIteration()
        case .searching(.torch(let search)):
            return advance(search, loss: loss, gradient: gradient, inspection)
        case .searching(.budgeted(let search)):
            return advance(search, loss: loss, gradient: gradient, inspection)
        }
    }

    /// Answers the pending evaluation: the point is infeasible.
    /// - Parameter loss: What was computed there.
    mutating func advanceFromInfeasible(loss: Double) -> Directive {
        countEvaluation()
        switch phase {
        case .idle:
            preconditionFailure("no step runs")
        case .evaluatingStart:
            trialOutcome = TrialOutcome()
            progress.lossBefore = loss
            carried.isEvaluated = false
            return finish(.nonFinite)
        case .evaluatingFixedStep:
            trialOutcome = TrialOutcome(acceptedStepLength: 0)
            stepLength = 0
            return finish(.nonFinite)
        case .searching(.torch(var search)):
            trialOutcome = TrialOutcome(start: search.start, slope: .nan)
            let directive = search.advance(loss: .infinity, slope: .nan)
            return perform(directive, of: search)
        case .searching(.budgeted(var search)):
            trialOutcome = TrialOutcome(start: search.start, slope: .nan)
            let directive = search.advance(loss: .infinity, slope: .nan)
            return perform(directive, of: search)
        }
    }

    /// Ends the running step at the point with the lowest loss that it has seen.
    mutating func endAtBestPoint() -> StepResult {
        precondition(phase != .idle, "no step runs")
        let hasEvaluated = progress.bestLoss < .infinity
        moveToBestPoint()
        loss = hasEvaluated ? progress.bestLoss : nil
        gradientNormInf = hasEvaluated ? progress.bestGradientNormInf : .infinity
        guard case .finished(let result) = finish(.stopped) else {
            preconditionFailure("a step that was stopped is finished")
        }
        return result
    }

    private mutating func countEvaluation() {
        progress.evaluations += 1
        evaluationCount += 1
    }

    /// Whether an evaluation with a finite gradient, but without a finite loss, is a point to go on
    /// from.
    ///
    /// Where a step begins without a finite loss there is no finite point to return to, and the
    /// gradient still says which way is down. Like torch, both modes then go on by the gradients
    /// alone, and accept infinite losses on the way: those are too large for the precision of the
    /// evaluation. A loss that is NaN is never moved to. Once a loss has been finite, one that is
    /// not makes its point infeasible. From -infinity there is no way down.
    func canContinue(from loss: Double) -> Bool {
        let since =
            switch progress.options.mode {
            case .torch: 2
            case .robust: 3
            }
        guard numerics >= since, loss != -.infinity else { return false }
        return switch phase {
        case .idle: false
        case .evaluatingStart: true
        case .evaluatingFixedStep, .searching:
            loss == .infinity && self.loss?.isFinite == false
        }
    }
}
