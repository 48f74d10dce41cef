/// What a line search knows of one point on its line: phi(t) = f(x + t d) and phi'(t) = g.d.
package struct LineSearchPoint: Equatable, Sendable, Codable {
    /// 0 is the start of the line, 1, 2, 3 ... the trials in their order.
    package var trial: Int
    /// t
    package var stepLength: Double
    /// phi(t); +infinity when the point is infeasible.
    package var loss: Double
    /// phi'(t); not finite when the point is infeasible.
    package var slope: Double
    /// In torch's order of operations, whether torch has t in a tensor: one divides a number by
    /// multiplying it with the reciprocal. nil elsewhere.
    package var isTensor: Bool?

    package var isFeasible: Bool { slope.isFinite }

    /// A point without a finite loss and gradient: no decrease is sufficient there.
    static func infeasible(
        trial: Int, stepLength: Double, isTensor: Bool? = nil
    ) -> LineSearchPoint {
        LineSearchPoint(
            trial: trial, stepLength: stepLength, loss: .infinity, slope: .nan, isTensor: isTensor)
    }
}

/// What a line search wants next.
package enum LineSearchDirective: Equatable, Sendable {
    /// phi and phi' at this step length, as the next trial.
    case evaluate(stepLength: Double)
    /// The search is over: go to this point, which may be the start.
    case accept(LineSearchPoint)
}
