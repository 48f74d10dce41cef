/// An evaluation that is wanted, at `trialPoint`.
public struct Trial: Equatable, Sendable {
    /// t of x + t d; 0 at the step's start.
    public var stepLength: Double
    /// Iteration within the step, from 1; 0 at the step's start.
    public var iteration: Int

    public init(stepLength: Double, iteration: Int) {
        self.stepLength = stepLength
        self.iteration = iteration
    }
}

/// What the engine wants next.
public enum Directive: Equatable, Sendable {
    case evaluate(Trial)
    case finished(StepResult)
}
