internal import LBFGS

// What entries of the journal say for listings and traces. Replay does not compare it.

extension SessionState {
    var progress: SessionProgress {
        SessionProgress(
            best: scalars.best, mode: engine.options.mode,
            gradientNormInf: scalars.gradientNormInf)
    }

    /// What the newest answer told about its line search, with the client's sign.
    var searchTrace: SearchTrace? {
        let outcome = engine.trialOutcome
        let sign = scalars.isMaximizing ? -1.0 : 1
        let trace = SearchTrace(
            slope: outcome.slope.map { sign * $0 }, startLoss: outcome.startLoss.map { sign * $0 },
            startSlope: outcome.startSlope.map { sign * $0 },
            acceptedStepLength: outcome.acceptedStepLength)
        return trace.isEmpty ? nil : trace
    }
}
