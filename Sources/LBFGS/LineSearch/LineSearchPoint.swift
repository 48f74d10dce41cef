/// A point on the line of a search: phi(t) = f(x + t d) and phi'(t) = g.d.
package struct LineSearchPoint: Equatable, Sendable, Codable {
    /// The number of the trial: 1, 2, 3 ...; 0 is the start of the line.
    package var trial: Int
    /// t
    package var stepLength: Double
    /// phi(t); +infinity when the point is infeasible.
    package var loss: Double
    /// phi'(t), the directional derivative; not finite when the point is infeasible.
    package var slope: Double
    /// In torch's order of operations, whether torch has t in a tensor: a division by a tensor is
    /// a product with its reciprocal, which rounds differently. nil elsewhere.
    package var isTensor: Bool?

    package var isFeasible: Bool { slope.isFinite }

    /// - Parameter trials: The number of the search's newest trial.
    func validate(_ path: String, trials: Int) throws(SnapshotError) {
        try requireCount(trial, upTo: trials, path + ".trial")
        try requireStepLength(stepLength, path + ".stepLength")
    }

    /// A point without a finite loss and gradient, which is no sufficient decrease.
    static func infeasible(
        trial: Int, stepLength: Double, isTensor: Bool? = nil
    ) -> LineSearchPoint {
        LineSearchPoint(
            trial: trial, stepLength: stepLength, loss: .infinity, slope: .nan, isTensor: isTensor)
    }
}
