/// Why a step ended.
public enum StopReason: String, Equatable, Sendable, Codable, CaseIterable {
    /// ||g||_inf is at most `tolerance_grad`.
    case gradientTolerance = "gradient_tolerance"
    /// ||t d||_inf is at most `tolerance_change`.
    case stepTolerance = "step_tolerance"
    /// The loss changed by less than `tolerance_change`.
    case lossTolerance = "loss_tolerance"
    /// The step took `max_iter` iterations.
    case maxIterations = "max_iterations"
    /// The step used up `max_eval` evaluations.
    case maxEvaluations = "max_evaluations"
    /// g.d > -`tolerance_change`: the direction promises nothing.
    case notADescentDirection = "not_a_descent_direction"
    /// No finite loss and gradient could be had where the step had to go.
    case nonFinite = "non_finite"
    /// The line search found no acceptable point, with an empty history either: the loss or its
    /// gradient may be wrong or noisier than `noise` says, or this is as near as they can tell.
    case lineSearchFailed = "line_search_failed"
    /// In mode robust: for a hundred iterations neither the loss fell by more than the evaluation's
    /// noise nor the gradient became smaller than it had been. No tolerance was met.
    case withinNoise = "within_noise"
    /// The caller ended it.
    case stopped

    /// Whether a tolerance was met, rather than a budget spent or a direction lost.
    var isConvergence: Bool {
        switch self {
        case .gradientTolerance, .stepTolerance, .lossTolerance: true
        case .maxIterations, .maxEvaluations, .notADescentDirection, .nonFinite, .lineSearchFailed,
            .withinNoise, .stopped:
            false
        }
    }
}

/// The line search that ended a step, in numbers. Step lengths are along a direction d.
public struct LineSearchFailure: Equatable, Sendable, Codable {
    /// The interval of step lengths that was left.
    public var stepLengthLower: Double
    public var stepLengthUpper: Double
    /// g.d at its start.
    public var slope: Double
    /// The lowest loss that a trial had, less the loss at the start; nil when no trial was finite.
    public var lossChange: Double?
    /// How much of a change of the loss counted as noise.
    public var lossNoise: Double
    /// ||d||_inf
    public var directionNormInf: Double
    /// Trials of this search.
    public var trials: Int

    public init(
        stepLengthLower: Double, stepLengthUpper: Double, slope: Double, lossChange: Double?,
        lossNoise: Double, directionNormInf: Double, trials: Int
    ) {
        self.stepLengthLower = stepLengthLower
        self.stepLengthUpper = stepLengthUpper
        self.slope = slope
        self.lossChange = lossChange
        self.lossNoise = lossNoise
        self.directionNormInf = directionNormInf
        self.trials = trials
    }
}

/// The lowest loss that an optimizer has seen.
public struct BestEvaluation: Equatable, Sendable, Codable {
    public var loss: Double
    /// Which evaluation of the optimizer's life it was: `evaluationCount` after it.
    public var evaluation: Int

    public init(loss: Double, evaluation: Int) {
        self.loss = loss
        self.evaluation = evaluation
    }
}

/// What one step did: one call of torch's `optimizer.step(closure)`.
public struct StepResult: Equatable, Sendable, Codable {
    public var reason: StopReason
    /// Loss where the step began, which is what torch's `step` returns; nil when
    /// the step ended before it, NaN or infinite when that evaluation was not usable.
    public var lossBefore: Double?
    /// Loss of the newest accepted point. Without a line search the last of `max_iter` moves is
    /// not evaluated (as in torch), so that this is then the loss one move before.
    public var loss: Double?
    /// ||g||_inf where `loss` was measured.
    public var gradientNormInf: Double?
    /// Iterations taken in this step.
    public var iterations: Int
    /// Evaluations used by this step.
    public var evaluations: Int
    /// Set when the reason is `lineSearchFailed`.
    public var failure: LineSearchFailure?

    public init(
        reason: StopReason, lossBefore: Double?, loss: Double?, gradientNormInf: Double?,
        iterations: Int, evaluations: Int, failure: LineSearchFailure? = nil
    ) {
        self.reason = reason
        self.lossBefore = lossBefore
        self.loss = loss
        self.gradientNormInf = gradientNormInf
        self.iterations = iterations
        self.evaluations = evaluations
        self.failure = failure
    }

    /// Whether a tolerance was met, rather than a budget spent or a direction lost.
    public var converged: Bool { reason.isConvergence }
}
