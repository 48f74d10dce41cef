/// What an ``Optimizer`` wants next.
public enum Directive: Equatable, Sendable {
    /// An evaluation at ``Optimizer/trialPoint``.
    case evaluate(Trial)
    /// Nothing: the step is over.
    case finished(StepResult)
}

/// An evaluation that is wanted, at ``Optimizer/trialPoint``.
public struct Trial: Equatable, Sendable {
    /// t of the trial point x + t d; 0 where the step begins.
    public var stepLength: Double
    /// The iteration within the step, from 1; 0 where the step begins.
    public var iteration: Int

    /// A trial of an iteration.
    public init(stepLength: Double, iteration: Int) {
        self.stepLength = stepLength
        self.iteration = iteration
    }
}
