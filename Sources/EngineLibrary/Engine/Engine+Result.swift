internal import CLbfgsd
internal import LBFGS

extension Engine {
    /// The result of the last step, or what the running one has done so far.
    func result() throws(LibraryError) -> lbfgsd_result {
        guard !isStepping else { return unfinishedResult() }
        guard let last = lastResult else {
            throw LibraryError(LBFGSD_ERROR_ORDER, "there was no step yet")
        }
        return lbfgsd_result(
            last, isStepping: false, iterationCount: optimizer.iterationCount,
            evaluationCount: optimizer.evaluationCount, bestLoss: optimizer.best?.loss)
    }

    private func unfinishedResult() -> lbfgsd_result {
        var result = lbfgsd_result(
            iterationCount: optimizer.iterationCount, evaluationCount: optimizer.evaluationCount,
            bestLoss: optimizer.best?.loss)
        result.iterations = Int64(optimizer.iterationCount &- countsBefore.iterations)
        result.evaluations = Int64(optimizer.evaluationCount &- countsBefore.evaluations)
        result.loss_before = optimizer.stepLossBefore ?? .nan
        result.loss = optimizer.loss ?? .nan
        result.gradient_norm_inf = optimizer.resultGradientNormInf ?? .nan
        if let norm = optimizer.projectedGradientNormInf {
            result.projected_gradient_norm_inf = norm
            result.active_bounds = Int64(optimizer.activeBoundCount)
        }
        return result
    }
}

extension lbfgsd_result {
    /// A result of which only the counts of all steps are known.
    init(iterationCount: Int, evaluationCount: Int, bestLoss: Double?) {
        self.init()
        size = MemoryLayout<lbfgsd_result>.size
        total_iterations = Int64(iterationCount)
        total_evaluations = Int64(evaluationCount)
        best_loss = bestLoss ?? .nan
        projected_gradient_norm_inf = .nan
        active_bounds = -1
        failed_search_loss_change = .nan
        failed_search_loss_noise = .nan
        failed_search_slope = .nan
        failed_search_direction_norm_inf = .nan
        failed_search_step_length_lower = .nan
        failed_search_step_length_upper = .nan
    }

    /// The result of a step. While one is running it has no reason.
    init(
        _ last: StepResult, isStepping: Bool, iterationCount: Int, evaluationCount: Int,
        bestLoss: Double?
    ) {
        self.init(
            iterationCount: iterationCount, evaluationCount: evaluationCount, bestLoss: bestLoss)
        if !isStepping {
            reason = Int32(Reason.number(of: last.reason).rawValue)
            converged = last.converged ? 1 : 0
        }
        iterations = Int64(last.iterations)
        evaluations = Int64(last.evaluations)
        loss_before = last.lossBefore ?? .nan
        loss = last.loss ?? .nan
        gradient_norm_inf = last.gradientNormInf ?? .nan
        projected_gradient_norm_inf = last.projectedGradientNormInf ?? .nan
        active_bounds = Int64(last.activeBounds ?? -1)
        guard let failure = last.failure else { return }
        failed_search_trials = Int64(failure.trials)
        failed_search_loss_change = failure.lossChange ?? .nan
        failed_search_loss_noise = failure.lossNoise
        failed_search_slope = failure.slope
        failed_search_direction_norm_inf = failure.directionNormInf
        failed_search_step_length_lower = failure.stepLengthLower
        failed_search_step_length_upper = failure.stepLengthUpper
    }
}

/// Reasons by number and name.
enum Reason {
    static func number(of reason: StopReason) -> lbfgsd_reason {
        switch reason {
        case .gradientTolerance: LBFGSD_REASON_GRADIENT_TOLERANCE
        case .stepTolerance: LBFGSD_REASON_STEP_TOLERANCE
        case .lossTolerance: LBFGSD_REASON_LOSS_TOLERANCE
        case .maxIterations: LBFGSD_REASON_MAX_ITERATIONS
        case .maxEvaluations: LBFGSD_REASON_MAX_EVALUATIONS
        case .notADescentDirection: LBFGSD_REASON_NOT_A_DESCENT_DIRECTION
        case .nonFinite: LBFGSD_REASON_NON_FINITE
        case .lineSearchFailed: LBFGSD_REASON_LINE_SEARCH_FAILED
        case .withinNoise: LBFGSD_REASON_WITHIN_NOISE
        case .stopped: LBFGSD_REASON_STOPPED
        }
    }

    /// By number, from 0.
    static let names: [StaticString] = [
        "none", "gradient_tolerance", "step_tolerance", "loss_tolerance", "max_iterations",
        "max_evaluations", "not_a_descent_direction", "non_finite", "line_search_failed",
        "within_noise", "stopped",
    ]
}
