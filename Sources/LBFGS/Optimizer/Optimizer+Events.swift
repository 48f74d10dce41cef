// The events that drive the machine. Each ends with a directive; the transitions between them are
// in `Optimizer+Iteration.swift`.

extension Optimizer {
    /// Begins a step. The first evaluation is wanted at ``parameters``, unless
    /// ``Options/reuseEvaluation`` is on and loss and gradient there are known from the step
    /// before.
    ///
    /// O(1), or O(m n) when the evaluation is reused.
    /// - Parameter stepOptions: Valid options for this step only, or nil for ``options``.
    /// - Precondition: No step is running. The options satisfy ``check(_:)-(Options)``.
    /// - Returns: The evaluation that is wanted, or the step's result.
    public mutating func beginStep(options stepOptions: Options? = nil) -> Directive {
        precondition(!isStepping, "a step runs already: \(phase)")
        progress = StepProgress(options: stepOptions ?? options)
        precondition(!isBoxed || progress.options.mode == .robust, "bounds need mode robust")
        (carried.failedSearches, carried.lossAtFailedSearch) = (0, nil)
        trialPoint = parameters
        if progress.options.reuseEvaluation, carried.isEvaluated, let loss {
            progress.lossBefore = loss
            adoptEvaluation(loss: loss, gradient: gradient, gradientNormInf: gradientNormInf)
            return isOptimal ? finish(.gradientTolerance) : beginIteration()
        }
        phase = .evaluatingStart
        return .evaluate(Trial(stepLength: 0, iteration: 0))
    }

    /// Answers the pending evaluation. A loss or gradient that is not finite makes the point
    /// infeasible.
    ///
    /// O(n) within a line search, O(m n) where an iteration ends.
    /// - Parameters:
    ///   - loss: f at ``trialPoint``.
    ///   - gradient: The gradient of f at ``trialPoint``, n numbers in the order of ``parameters``.
    /// - Precondition: A step is running, and the gradient has n numbers.
    /// - Returns: The next evaluation that is wanted, or the step's result.
    @specialized(where Scalar == Double)
    @specialized(where Scalar == Float)
    public mutating func advance(loss: Double, gradient: [Scalar]) -> Directive {
        precondition(gradient.count == parameters.count, "\(gradient.count) numbers")
        let gradient = masked(gradient)
        let inspection = inspect(gradient)
        let loss = box.l1.isEmpty ? loss : loss + face.l1Term
        guard inspection.isFinite, loss.isFinite || canContinue(from: loss) else {
            return advanceInfeasible(loss: loss)
        }
        countEvaluation()
        updateCarriedBest(loss: loss, inspection)
        switch phase {
        case .idle:
            preconditionFailure("no step runs")
        case .evaluatingStart:
            buffers.outcome = TrialOutcome(acceptedStepLength: 0)
            progress.lossBefore = loss
            adoptEvaluation(loss: loss, gradient: gradient, gradientNormInf: inspection.normInf)
            return isOptimal ? finish(.gradientTolerance) : beginIteration()
        case .evaluatingFixedStep(let stepLength):
            buffers.outcome = TrialOutcome(acceptedStepLength: stepLength)
            moveParameters(to: trialPoint, stepLength: stepLength, loss: loss)
            adoptEvaluation(loss: loss, gradient: gradient, gradientNormInf: inspection.normInf)
            return endIteration()
        case .searching(.torch(let search)):
            return advance(search, loss: loss, gradient: gradient, inspection)
        case .searching(.budgeted(let search)):
            return advance(search, loss: loss, gradient: gradient, inspection)
        }
    }

    /// Answers the pending evaluation: the point is infeasible, because there is no loss or none
    /// that is finite.
    ///
    /// O(n).
    /// - Parameter loss: What was computed there, for ``StepResult/lossBefore``.
    /// - Precondition: A step is running.
    /// - Returns: The next evaluation that is wanted, or the step's result.
    public mutating func advanceInfeasible(loss: Double = .nan) -> Directive {
        countEvaluation()
        switch phase {
        case .idle:
            preconditionFailure("no step runs")
        case .evaluatingStart:
            buffers.outcome = TrialOutcome()
            progress.lossBefore = loss
            carried.isEvaluated = false
            return finish(.nonFinite)
        case .evaluatingFixedStep:
            buffers.outcome = TrialOutcome(acceptedStepLength: 0)
            stepLength = 0
            return finish(.nonFinite)
        case .searching(.torch(var search)):
            buffers.outcome = TrialOutcome(start: search.start, slope: .nan)
            let directive = search.advance(loss: .infinity, slope: .nan)
            return perform(directive, of: search)
        case .searching(.budgeted(var search)):
            buffers.outcome = TrialOutcome(start: search.start, slope: .nan)
            let directive = search.advance(loss: .infinity, slope: .nan)
            return perform(directive, of: search)
        }
    }

    /// Ends the running step now, at the point with the lowest loss that it has seen. O(n).
    ///
    /// d, t and the previous gradient are left such that the next step forms a true pair or none.
    /// - Precondition: A step is running.
    /// - Returns: The result, with the reason ``StopReason/stopped``.
    public mutating func stop() -> StepResult {
        precondition(isStepping, "no step runs")
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
    private func canContinue(from loss: Double) -> Bool {
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
