extension Optimizer {
    /// What is remembered over the steps beside torch's state, mostly for robust mode.
    struct Memory: Equatable, Sendable, Codable {
        /// The lowest loss of the optimizer's life, in either mode.
        var best: BestEvaluation?
        /// ||g||_inf at the first evaluation of the optimizer's life.
        var initialGradientNormInf: Double?
        /// Whether `loss` and `gradient` are those at `parameters`.
        var isEvaluated = false
        /// Line searches that failed since one made progress.
        var failures = 0
        /// Where the newest of these failures left the loss.
        var lossAtFailure: Double?
        /// gamma = s.y / y.y of the newest pair that was kept.
        var scale: Double?
    }

    /// Takes note of an evaluation with a finite answer.
    mutating func noteLife(loss: Double, _ inspection: Inspection) {
        if memory.initialGradientNormInf == nil {
            memory.initialGradientNormInf = inspection.normInf
        }
        guard loss.isFinite else { return }
        if let best = memory.best, best.loss <= loss { return }
        memory.best = BestEvaluation(loss: loss, evaluation: evaluationCount)
    }
}
