internal import CLbfgsd
internal import LBFGS

extension Engine {
    /// The result of the last step, or what the running one has done so far.
    func result() throws(LibraryError) -> lbfgsd_result {
        guard !isStepping else { return unfinishedResult() }
        guard let last = lastResult else {
            throw LibraryError(LBFGSD_ERROR_ORDER, "there was no step yet")
        }
        var result = emptyResult()
        result.reason = Int32(Reason.number(of: last.reason).rawValue)
        result.converged = last.converged ? 1 : 0
        result.iterations = Int64(last.iterations)
        result.evaluations = Int64(last.evaluations)
        result.loss_before = last.lossBefore ?? .nan
        result.loss = last.loss ?? .nan
        result.gradient_norm_inf = last.gradientNormInf ?? .nan
        result.projected_gradient_norm_inf = last.projectedGradientNormInf ?? .nan
        result.active_bounds = Int64(last.activeBounds ?? -1)
        if let failure = last.failure {
            result.failed_search_trials = Int64(failure.trials)
            result.failed_search_loss_change = failure.lossChange ?? .nan
            result.failed_search_loss_noise = failure.lossNoise
            result.failed_search_slope = failure.slope
            result.failed_search_direction_norm_inf = failure.directionNormInf
            result.failed_search_step_length_lower = failure.stepLengthLower
            result.failed_search_step_length_upper = failure.stepLengthUpper
        }
        return result
    }

    private func unfinishedResult() -> lbfgsd_result {
        var result = emptyResult()
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

    private func emptyResult() -> lbfgsd_result {
        var result = lbfgsd_result()
        result.size = MemoryLayout<lbfgsd_result>.size
        result.total_iterations = Int64(optimizer.iterationCount)
        result.total_evaluations = Int64(optimizer.evaluationCount)
        result.best_loss = optimizer.best?.loss ?? .nan
        result.projected_gradient_norm_inf = .nan
        result.active_bounds = -1
        result.failed_search_loss_change = .nan
        result.failed_search_loss_noise = .nan
        result.failed_search_slope = .nan
        result.failed_search_direction_norm_inf = .nan
        result.failed_search_step_length_lower = .nan
        result.failed_search_step_length_upper = .nan
        return result
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
