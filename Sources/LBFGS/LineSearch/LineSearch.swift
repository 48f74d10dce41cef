/// A line search along phi(t) = f(x + t d).
///
/// It is a machine over scalars, driven by reverse communication like the optimizer itself, and
/// never sees a vector. Each call of `advance` answers the trial at `pendingStepLength`.
protocol LineSearchMachine {
    /// t of the trial that is wanted.
    var pendingStepLength: Double { get }
    /// The point of the line where t is 0.
    var start: LineSearchPoint { get }
    /// The number of the newest trial: 1, 2, 3 ...
    var trials: Int { get }
    /// How many trials were feasible.
    var feasibleTrials: Int { get }
    /// The trials that may still be accepted, whose gradients are therefore wanted.
    var retainedTrials: RetainedTrials { get }
    /// The trial of the lowest loss on the line, 0 for the start; nil if the search does not know
    /// it.
    var bestTrial: Int? { get }
    /// The search as the state of an iteration.
    var asLineSearch: LineSearch { get }

    /// Whether a trial at this step length is a contraction from the first trial, by a search that
    /// gives up when the contracted trial is no longer different from the start.
    func isContraction(_ stepLength: Double) -> Bool

    /// Whether a trial that meets the gradient tolerance ends the search.
    func acceptsIfOptimal(loss: Double, slope: Double) -> Bool

    /// Answers the pending trial.
    /// - Parameters:
    ///   - loss: phi(t); infinite or NaN where the trial is infeasible.
    ///   - slope: phi'(t); not finite where the trial is infeasible.
    mutating func advance(loss: Double, slope: Double) -> LineSearchDirective
}

/// The line search of a running iteration.
enum LineSearch: Equatable, Sendable {
    /// torch's search. It accepts the start where it finds nothing better.
    case torch(StrongWolfeSearch)
    /// A search of robust mode. It knows its best trial, and gives up where it finds nothing.
    case budgeted(BudgetedLineSearch)

    /// t of the trial that is wanted.
    var pendingStepLength: Double {
        switch self {
        case .torch(let search): search.pendingStepLength
        case .budgeted(let search): search.pendingStepLength
        }
    }

    /// The search after its direction was measured; see `StrongWolfeSearch`.
    func measured(slope: Double, directionNormInf: Double) -> LineSearch {
        switch self {
        case .torch(let search):
            .torch(search.measured(slope: slope, directionNormInf: directionNormInf))
        case .budgeted(let search):
            .budgeted(search.measured(slope: slope, directionNormInf: directionNormInf))
        }
    }

    /// The trials that may still be accepted.
    var retainedTrials: RetainedTrials {
        switch self {
        case .torch(let search): search.retainedTrials
        case .budgeted(let search): search.retainedTrials
        }
    }
}

extension StrongWolfeSearch: LineSearchMachine {
    var bestTrial: Int? { nil }
    var asLineSearch: LineSearch { .torch(self) }
    func isContraction(_ stepLength: Double) -> Bool { false }
    func acceptsIfOptimal(loss: Double, slope: Double) -> Bool { false }
}

extension BudgetedLineSearch: LineSearchMachine {
    var start: LineSearchPoint { setting.start }
    var bestTrial: Int? { best.trial }
    var asLineSearch: LineSearch { .budgeted(self) }
    func isContraction(_ stepLength: Double) -> Bool { stepLength < setting.stepLength }
    func acceptsIfOptimal(loss: Double, slope: Double) -> Bool {
        slope.isFinite && loss.isFinite && loss <= setting.start.loss + setting.lossNoise
    }
}
