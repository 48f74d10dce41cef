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
    /// The caller ended it.
    case stopped
}

/// What one step did: one call of torch's `optimizer.step(closure)`.
public struct StepResult: Equatable, Sendable, Codable {
    public var reason: StopReason
    /// Loss at the first evaluation of the step, which is what torch's `step` returns; nil when
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

    public init(
        reason: StopReason, lossBefore: Double?, loss: Double?, gradientNormInf: Double?,
        iterations: Int, evaluations: Int
    ) {
        self.reason = reason
        self.lossBefore = lossBefore
        self.loss = loss
        self.gradientNormInf = gradientNormInf
        self.iterations = iterations
        self.evaluations = evaluations
    }

    /// Whether a tolerance was met, rather than a budget spent or a direction lost.
    public var converged: Bool {
        switch reason {
        case .gradientTolerance, .stepTolerance, .lossTolerance: true
        case .maxIterations, .maxEvaluations, .notADescentDirection, .nonFinite, .stopped: false
        }
    }
}
