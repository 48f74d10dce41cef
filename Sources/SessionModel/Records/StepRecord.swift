public import struct Foundation.Date

/// The result of a step that has ended.
public struct StepRecord: Equatable, Sendable {
    public var number: StepNumber
    public var startedAt: Date
    public var endedAt: Date
    /// First and last evaluation of the step; `last` is `first - 1` when it had none.
    public var firstEvaluation: EvaluationNumber
    public var lastEvaluation: EvaluationNumber
    public var result: StepResult

    public init(
        number: StepNumber, startedAt: Date, endedAt: Date, firstEvaluation: EvaluationNumber,
        lastEvaluation: EvaluationNumber, result: StepResult
    ) {
        self.number = number
        self.startedAt = startedAt
        self.endedAt = endedAt
        self.firstEvaluation = firstEvaluation
        self.lastEvaluation = lastEvaluation
        self.result = result
    }
}

/// One line of a session's trace: the result of an evaluation.
public struct TracePoint: Equatable, Sendable {
    public var evaluation: EvaluationNumber
    public var step: StepNumber
    /// Iteration within the step; 0 for the evaluation at the step's start.
    public var iteration: Int
    /// As it was told, non-finite or not; nil when the client reported that the evaluation failed.
    public var loss: Double?
    /// ||g||_inf; nil when the evaluation failed.
    public var gradientNormInf: Double?
    /// t of the trial point x + t d; 0 at the step's start.
    public var stepLength: Double
    public var time: Date

    public init(
        evaluation: EvaluationNumber, step: StepNumber, iteration: Int, loss: Double?,
        gradientNormInf: Double?, stepLength: Double, time: Date
    ) {
        self.evaluation = evaluation
        self.step = step
        self.iteration = iteration
        self.loss = loss
        self.gradientNormInf = gradientNormInf
        self.stepLength = stepLength
        self.time = time
    }
}
