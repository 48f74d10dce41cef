// The transitions of the machine: one iteration after the other, in either mode. Questions that
// the modes answer differently are asked in `StepMachine+Mode.swift`.
//
//     beginIteration -> takeFixedStep ------------------------> endIteration
//                    -> perform -> advance -> perform ... ----> endIteration
//                                                          \--> recover -> beginIteration
//     endIteration ---> beginIteration
//
// Each of them may finish the step instead. What concerns a line search is generic, so that it is
// compiled for each search; copies of the enum `LineSearch` took up to 0.5 us an iteration.

enum SearchLimits {
    /// Trial points in a row that overflow before a search stays where it began. Halving the
    /// largest number 2,100 times gives the smallest.
    static let overflowsMax = 4096
}

extension StepMachine {
    func trial(at stepLength: Double) -> Trial {
        Trial(stepLength: stepLength, iteration: progress.iterations)
    }

    /// Takes over the evaluation at `parameters`.
    mutating func adoptEvaluation(loss: Double, gradient: Gradient, gradientNormInf: Double) {
        self.loss = loss
        self.gradient = gradient
        self.gradientNormInf = gradientNormInf
        carried.isEvaluated = true
        guard loss <= progress.bestLoss else { return }
        progress.bestLoss = loss
        progress.bestGradientNormInf = gradientNormInf
        progress.bestLocation = .current
        forgetSavedPoint()
    }

    /// Chooses a direction and asks for the first trial along it.
    /// - Precondition: `loss` and `gradient` are those at `parameters`.
    mutating func beginIteration() -> Directive {
        if let reason = reasonNotToIterate() { return finish(reason) }
        progress.iterations += 1
        iterationCount += 1
        if iterationCount == 1 { removePairs() }
        let line = chooseDirection()
        retainGradientOfStart()
        previousLoss = loss
        guard directionNormInf.isFinite, line.slope.isFinite else {
            stepLength = 0
            return finish(.nonFinite)
        }
        guard isDescent(slope: line.slope) else { return finish(.notADescentDirection) }
        trialGradients.removeAll()
        return beginSearch(along: line)
    }

    /// Moves by a step length without a search.
    mutating func takeFixedStep(_ stepLength: Double) -> Directive {
        guard placeTrial(at: stepLength) else {
            self.stepLength = 0
            return finish(.nonFinite)
        }
        if progress.iterations == progress.options.maxIterations {
            // Like torch, which does not evaluate after the last move.
            moveParameters(by: stepLength, isTrial: true, loss: .infinity)
            return finish(.maxIterations)
        }
        phase = .evaluatingFixedStep(stepLength: stepLength)
        return .evaluate(trial(at: stepLength))
    }

    /// Answers a feasible trial of a line search.
    mutating func advance<Search: LineSearchMachine>(
        _ search: Search, loss: Double, gradient: Gradient, _ inspection: Inspection
    ) -> Directive {
        var search = search
        let stepLength = search.pendingStepLength
        var directive = search.advance(loss: loss, slope: inspection.slope)
        trialOutcome = TrialOutcome(start: search.start, slope: inspection.slope)
        updateStepBest(loss: loss, inspection, stepLength: stepLength)
        trialGradients.add(gradient, ofTrial: search.trials)
        if search.acceptsIfOptimal(loss: loss, slope: inspection.slope),
            terminationTest.isOptimal(inspection.normInf)
        {
            directive = .accept(
                LineSearchPoint(
                    trial: search.trials, stepLength: stepLength, loss: loss,
                    slope: inspection.slope))
        }
        return perform(directive, of: search)
    }

    /// Does what a line search wants. A trial point that overflows is answered as infeasible here,
    /// without an evaluation.
    mutating func perform<Search: LineSearchMachine>(
        _ directive: LineSearchDirective, of search: Search
    ) -> Directive {
        var (directive, search) = (directive, search)
        var overflows = 0
        while true {
            switch directive {
            case .evaluate(let stepLength):
                let isFinite = placeTrial(at: stepLength)
                if search.isContraction(stepLength), isTrialAtStart {
                    // Contracted until no parameter changes any more.
                    directive = .giveUp(lower: 0, upper: stepLength)
                } else if isFinite {
                    trialGradients.keep(search.retainedTrials)
                    phase = .searching(search.asLineSearch)
                    return .evaluate(trial(at: stepLength))
                } else {
                    // torch's search can be left with an interval of two neighbouring numbers, of
                    // which only the one that overflows is tried, until its budget is spent.
                    overflows += 1
                    directive =
                        overflows > SearchLimits.overflowsMax
                        ? .accept(.infeasible(trial: 0, stepLength: 0))
                        : search.advance(loss: .infinity, slope: .nan)
                }
            case .accept(let point):
                trialOutcome.accept(point.trial == 0 ? 0 : point.stepLength)
                if point.trial == 0 {
                    stepLength = 0
                } else {
                    moveToTrial(
                        point, isNewest: point.trial == search.trials,
                        bestTrial: search.bestTrial)
                }
                trialGradients.removeAll()
                forgetFailedSearchesAfterProgress()
                return search.feasibleTrials == 0 ? finish(.nonFinite) : endIteration()
            case .giveUp(let lower, let upper):
                return recover(from: search.asLineSearch, lower: lower, upper: upper)
            }
        }
    }

    /// Ends the step if a tolerance is met or a budget is spent, else begins another iteration.
    mutating func endIteration() -> Directive {
        if let reason = reasonToStop() { return finish(reason) }
        return beginIteration()
    }

    /// Ends the step.
    mutating func finish(_ reason: StopReason, failure: LineSearchFailure? = nil) -> Directive {
        if returnsToBest(after: reason) { returnToSavedPoint() }
        // A small gradient or change where the loss is not finite is no minimum.
        let hasMinimum = loss?.isFinite ?? true
        let reason = reason.isConvergence && !hasMinimum ? StopReason.nonFinite : reason
        phase = .idle
        clearTrialPoint()
        trialGradients.removeAll()
        forgetSavedPoint()
        return .finished(
            StepResult(
                reason: reason, lossBefore: progress.lossBefore, loss: loss,
                gradientNormInf: resultGradientNormInf,
                iterations: progress.iterations, evaluations: progress.evaluations,
                failure: failure,
                projectedGradientNormInf: boxResult?.projectedGradientNormInf,
                activeBounds: boxResult?.activeBounds))
    }
}
