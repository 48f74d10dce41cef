// Moves of the parameters, and the bookkeeping of the lowest loss that the step has seen.

extension StepMachine {
    /// Updates the lowest loss since the optimizer was created.
    mutating func updateCarriedBest(loss: Double, _ inspection: Inspection) {
        if carried.initialGradientNormInf == nil {
            carried.initialGradientNormInf = inspection.normInf
        }
        guard loss.isFinite else { return }
        if let best = carried.best, best.loss <= loss { return }
        carried.best = BestEvaluation(loss: loss, evaluation: evaluationCount)
    }

    /// Updates the step's lowest loss by a trial of the line search.
    mutating func updateStepBest(loss: Double, _ inspection: Inspection, stepLength: Double) {
        guard loss.isFinite, isBetter(loss, than: progress.bestLoss) else { return }
        progress.bestLoss = loss
        progress.bestGradientNormInf = inspection.normInf
        progress.bestLocation = .trial(stepLength: stepLength)
        forgetSavedPoint()
    }

    /// Moves the parameters along the direction. Saves the best point of the step if it was on the
    /// line, or where the line begins, and is left now.
    /// - Parameters:
    ///   - isTrial: Whether the trial point that was placed last is the destination.
    ///   - bestTrialGradient: The gradient at the line's best trial; nil in torch mode.
    mutating func moveParameters(
        by stepLength: Double, isTrial: Bool, loss: Double, bestTrialGradient: Gradient? = nil
    ) {
        switch progress.bestLocation {
        case .trial(let best) where best == stepLength:
            progress.bestLocation = .current
        case .trial(let best):
            savePoint(at: best, gradient: bestTrialGradient)
            progress.bestLocation = .saved
        case .current where !(loss <= progress.bestLoss):
            savePoint(at: nil, gradient: savesBestGradient ? gradient : nil)
            progress.bestLocation = .saved
        case .current, .saved:
            break
        }
        move(by: stepLength, isTrial: isTrial)
        carried.isEvaluated = false
        if progress.bestLocation == .current { forgetSavedPoint() }
    }

    /// Moves to a trial of the line search, whose gradient is known.
    /// - Parameters:
    ///   - point: The trial.
    ///   - isNewest: Whether the trial was evaluated last, and is where the trial point is.
    ///   - bestTrial: The trial of the lowest loss on the line, if the search knows it.
    mutating func moveToTrial(
        _ point: LineSearchPoint, isNewest: Bool = false, bestTrial: Int?
    ) {
        guard let accepted = trialGradients[point.trial] else {
            preconditionFailure("trial \(point.trial) was accepted but not kept")
        }
        moveParameters(
            by: point.stepLength, isTrial: isNewest, loss: point.loss,
            bestTrialGradient: bestTrial.flatMap { trialGradients[$0] })
        loss = point.loss
        takeTrialGradient(accepted, isNewest: isNewest)
        carried.isEvaluated = true
        trialGradients.removeAll()
    }

    /// Moves to the best point of a step that is stopped.
    ///
    /// Torch mode keeps no gradient for that point. It leaves t where the point is on the last
    /// line, so that the next step's first evaluation completes the pair, and 0 elsewhere.
    mutating func moveToBestPoint() {
        if case .searching(.budgeted(let search)) = phase {
            // A snapshot may say of the line's start that it is better than the best trial.
            if case .trial = progress.bestLocation, trialGradients[search.best.trial] != nil {
                moveToTrial(search.best, bestTrial: search.best.trial)
            }
            returnToSavedPoint()
        }
        switch progress.bestLocation {
        case .current:
            if progress.options.mode == .torch { stepLength = 0 }
        case .trial(let best):
            jump(by: best)
            stepLength = best
            carried.isEvaluated = false
        case .saved:
            jumpToSavedPoint()
            stepLength = 0
            carried.isEvaluated = false
        }
    }

    /// Returns to the saved point, if it is the best one and its gradient is known.
    mutating func returnToSavedPoint() {
        guard progress.bestLocation == .saved, returnToSavedPointAndGradient() else { return }
        loss = progress.bestLoss
        gradientNormInf = progress.bestGradientNormInf
        stepLength = 0
        progress.bestLocation = .current
    }
}
