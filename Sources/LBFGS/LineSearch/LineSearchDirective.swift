/// What a line search wants next.
package enum LineSearchDirective: Equatable, Sendable {
    /// phi and phi' at this step length, as the next trial.
    case evaluate(stepLength: Double)
    /// The search is over: move to this point. Only torch's search accepts the start, trial 0.
    case accept(LineSearchPoint)
    /// The search is over, and no trial is acceptable. The numbers are the interval of step lengths
    /// that was left.
    case giveUp(lower: Double, upper: Double)
}
