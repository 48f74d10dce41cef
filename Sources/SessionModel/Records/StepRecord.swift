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
    /// The line search that it was a trial of; nil if nothing of one is known.
    public var search: SearchTrace?
    /// Whether its iteration moved to it; nil if that is not known. No store keeps it.
    public var isAccepted: Bool?

    public init(
        evaluation: EvaluationNumber, step: StepNumber, iteration: Int, loss: Double?,
        gradientNormInf: Double?, stepLength: Double, time: Date, search: SearchTrace? = nil
    ) {
        self.search = search
        self.evaluation = evaluation
        self.step = step
        self.iteration = iteration
        self.loss = loss
        self.gradientNormInf = gradientNormInf
        self.stepLength = stepLength
        self.time = time
    }
}

/// What an evaluation told about the line search that it was a trial of.
public struct SearchTrace: Equatable, Sendable {
    /// g.d at the trial point; nil outside of a line search, and where the point is infeasible.
    public var slope: Double?
    /// Loss and g.d where the search began; nil outside of a line search.
    public var startLoss: Double?
    public var startSlope: Double?
    /// t of the point that the iteration moved to, with the answer that ended its search: 0 where
    /// it stayed. nil while the search goes on.
    public var acceptedStepLength: Double?

    public init(
        slope: Double? = nil, startLoss: Double? = nil, startSlope: Double? = nil,
        acceptedStepLength: Double? = nil
    ) {
        self.slope = slope
        self.startLoss = startLoss
        self.startSlope = startSlope
        self.acceptedStepLength = acceptedStepLength
    }

    /// Whether nothing is known.
    package var isEmpty: Bool { self == SearchTrace() }
}
