/// What the newest answer told about the search that its trial belongs to.
///
/// A record for traces: the optimizer does not compute with it, and snapshots do not hold it.
public struct TrialOutcome: Equatable, Sendable {
    /// g.d at the trial point. nil outside of a line search, and where the point is infeasible.
    public var slope: Double?
    /// f and g.d where the search began; nil outside of a line search.
    public var startLoss: Double?
    public var startSlope: Double?
    /// t of the point that the iteration moved to, which may be that of an earlier trial, and is 0
    /// where the search stayed at its start. nil while the search goes on.
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

    /// - Parameters:
    ///   - start: The point of the line where t is 0.
    ///   - slope: Not finite where the trial is infeasible.
    init(start: LineSearchPoint, slope: Double) {
        startLoss = start.loss
        startSlope = start.slope
        self.slope = slope.isFinite ? slope : nil
    }

    /// An answer may begin another search, which can end at once. It is none of its trials.
    mutating func accept(_ stepLength: Double) {
        if acceptedStepLength == nil { acceptedStepLength = stepLength }
    }
}

extension Optimizer {
    /// About the answer to ``advance(loss:gradient:)`` before the present state. O(1).
    public internal(set) var trialOutcome: TrialOutcome {
        get { buffers.outcome }
        set { buffers.outcome = newValue }
    }
}
