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
    /// g.d > -`tolerance_change` (in mode robust: g.d >= 0): the direction does not descend.
    case notADescentDirection = "not_a_descent_direction"
    /// There was no finite loss and gradient at the point where the step had to go.
    case nonFinite = "non_finite"
    /// The line search found no acceptable point, not even along the gradient. The loss or its
    /// gradient may be wrong, or less precise than `noise` says, or the point may be a minimum as
    /// far as their precision can tell.
    case lineSearchFailed = "line_search_failed"
    /// In mode robust: for a hundred iterations neither did the loss decrease by more than the
    /// evaluation's noise, nor did ||g||_inf fall below its minimum. No tolerance was met.
    case withinNoise = "within_noise"
    /// The caller ended the step.
    case stopped

    /// Whether a tolerance was met.
    var isConvergence: Bool {
        switch self {
        case .gradientTolerance, .stepTolerance, .lossTolerance: true
        case .maxIterations, .maxEvaluations, .notADescentDirection, .nonFinite, .lineSearchFailed,
            .withinNoise, .stopped:
            false
        }
    }
}

/// The line search whose failure ended a step. Step lengths are multiples of the direction d.
public struct LineSearchFailure: Equatable, Sendable, Codable {
    /// The lower end of the interval of step lengths that was left.
    public var stepLengthLower: Double
    /// The upper end of that interval.
    public var stepLengthUpper: Double
    /// g.d at the start of the search.
    public var slope: Double
    /// The lowest loss of a trial minus the loss at the start; nil if no trial was finite.
    public var lossChange: Double?
    /// The change of the loss that counted as noise.
    public var lossNoise: Double
    /// ||d||_inf.
    public var directionNormInf: Double
    /// The trials of the search.
    public var trials: Int

    /// A failed search.
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

/// The lowest finite loss that an optimizer has seen.
public struct BestEvaluation: Equatable, Sendable, Codable {
    /// The loss.
    public var loss: Double
    /// The number of the evaluation, from 1: ``Optimizer/evaluationCount`` after it.
    public var evaluation: Int

    /// An evaluation.
    public init(loss: Double, evaluation: Int) {
        self.loss = loss
        self.evaluation = evaluation
    }
}

/// The result of a step, which is one call of torch's `optimizer.step(closure)`.
public struct StepResult: Equatable, Sendable, Codable {
    /// Why the step ended.
    public var reason: StopReason
    /// The loss where the step began, which is what torch's `step` returns; nil if the step ended
    /// before that evaluation, NaN or infinite if the evaluation was infeasible.
    public var lossBefore: Double?
    /// The loss at the last accepted point. Without a line search the last of `max_iter` moves is
    /// not evaluated, as in torch, and this is then the loss before that move.
    public var loss: Double?
    /// ||g||_inf where ``loss`` was measured.
    public var gradientNormInf: Double?
    /// The iterations of the step.
    public var iterations: Int
    /// The evaluations of the step.
    public var evaluations: Int
    /// The search that failed, if the reason is ``StopReason/lineSearchFailed``.
    public var failure: LineSearchFailure?
    /// With bounds or an L1 term: ``Optimizer/projectedGradientNormInf`` where ``loss`` was
    /// measured, on which `tolerance_grad` is. nil without.
    public var projectedGradientNormInf: Double?
    /// With bounds or an L1 term: how many parameters are at a bound. nil without.
    public var activeBounds: Int?

    /// A result.
    public init(
        reason: StopReason, lossBefore: Double?, loss: Double?, gradientNormInf: Double?,
        iterations: Int, evaluations: Int, failure: LineSearchFailure? = nil,
        projectedGradientNormInf: Double? = nil, activeBounds: Int? = nil
    ) {
        self.reason = reason
        self.lossBefore = lossBefore
        self.loss = loss
        self.gradientNormInf = gradientNormInf
        self.iterations = iterations
        self.evaluations = evaluations
        self.failure = failure
        self.projectedGradientNormInf = projectedGradientNormInf
        self.activeBounds = activeBounds
    }

    /// Whether the step ended because a tolerance was met.
    public var converged: Bool { reason.isConvergence }
}
