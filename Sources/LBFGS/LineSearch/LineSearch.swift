/// The line search of an iteration.
///
/// A line search is a machine over scalars, driven by reverse communication like the optimizer
/// itself: it never sees a vector. It is asked along phi(t) = f(x + t d), and each call of
/// ``advance(loss:slope:)`` answers the trial at ``pendingStepLength``.
package enum LineSearch: Equatable, Sendable {
    /// torch's search. It accepts the start where it finds nothing better.
    case torch(StrongWolfeSearch)
    /// A search of robust mode. It knows its best trial, and gives up where it finds nothing.
    case budgeted(BudgetedLineSearch)

    /// t of the trial that is wanted.
    package var pendingStepLength: Double {
        switch self {
        case .torch(let search): search.pendingStepLength
        case .budgeted(let search): search.pendingStepLength
        }
    }

    /// The number of the newest trial: 1, 2, 3 ...
    package var trials: Int {
        switch self {
        case .torch(let search): search.trials
        case .budgeted(let search): search.trials
        }
    }

    /// How many trials were feasible.
    package var feasibleTrials: Int {
        switch self {
        case .torch(let search): search.feasibleTrials
        case .budgeted(let search): search.feasibleTrials
        }
    }

    /// The trials that may still be accepted, whose gradients are therefore wanted.
    package var retainedTrials: [Int] {
        switch self {
        case .torch(let search): search.retainedTrials
        case .budgeted(let search): search.retainedTrials
        }
    }

    /// The point of the lowest loss on the line, if the search keeps track of it.
    package var best: LineSearchPoint? {
        switch self {
        case .torch: nil
        case .budgeted(let search): search.best
        }
    }

    /// The trial of the lowest loss on the line; 0 is the start.
    var bestTrial: Int? { best?.trial }

    /// Whether a trial at this step length is a contraction from the first trial, by a search that
    /// gives up when the contracted trial is no longer different from the start.
    func isContraction(_ stepLength: Double) -> Bool {
        switch self {
        case .torch: false
        case .budgeted(let search): stepLength < search.setting.stepLength
        }
    }

    /// Answers the pending trial.
    /// - Parameters:
    ///   - loss: phi(t); infinite or NaN where the trial is infeasible.
    ///   - slope: phi'(t); not finite where the trial is infeasible.
    package mutating func advance(loss: Double, slope: Double) -> LineSearchDirective {
        switch self {
        case .torch(var search):
            let directive = search.advance(loss: loss, slope: slope)
            self = .torch(search)
            return directive
        case .budgeted(var search):
            let directive = search.advance(loss: loss, slope: slope)
            self = .budgeted(search)
            return directive
        }
    }
}
