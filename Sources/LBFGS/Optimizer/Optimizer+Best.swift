// The point of the lowest loss that a step has seen, where `stop` goes.

extension Optimizer {
    mutating func noteTrial(
        loss: Double, _ inspection: Inspection, stepLength: Double
    ) {
        buffers.trialNormInf = inspection.normInf
        guard loss.isFinite, loss <= progress.bestLoss else { return }
        progress.bestLoss = loss
        progress.bestGradientNormInf = inspection.normInf
        progress.bestLocation = .trial(stepLength: stepLength)
        bestPoint = []
    }

    /// Moves to a new current point, and keeps the best point's bits if it isn't that one.
    mutating func leave(for destination: [Scalar], stepLength: Double, loss: Double) {
        switch progress.bestLocation {
        case .trial(let best) where best == stepLength:
            progress.bestLocation = .current
        case .trial(let best):
            bestPoint = point(at: best)
            progress.bestLocation = .kept
        case .current where !(loss <= progress.bestLoss):
            bestPoint = parameters
            progress.bestLocation = .kept
        case .current, .kept:
            break
        }
        swap(&parameters, &buffers.spare)
        parameters = destination
        self.stepLength = stepLength
        memory.isEvaluated = false
    }
}
