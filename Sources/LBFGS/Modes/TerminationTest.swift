/// The tests of termination after an iteration, on scalars.
///
/// Both modes know the same tolerances; they differ in the order of the tests. torch asks for the
/// budgets first, robust mode for the tolerances, so that a run that has converged is told so.
struct TerminationTest {
    var options: Options
    /// Iterations and evaluations of the step so far.
    var iterations: Int
    var evaluations: Int
    /// ||g||_inf at the current point.
    var gradientNormInf: Double
    /// ||g||_inf at the first evaluation of all.
    var initialGradientNormInf: Double?
    /// t of the iteration; 0 if the parameters did not move.
    var stepLength: Double
    /// ||d||_inf
    var directionNormInf: Double
    /// Losses after and before the iteration.
    var loss: Double?
    var previousLoss: Double?

    /// Whether a gradient meets a tolerance, absolute or relative.
    func isOptimal(_ gradientNormInf: Double) -> Bool {
        let relative = options.toleranceGradientRelative * (initialGradientNormInf ?? 0)
        return gradientNormInf <= max(options.toleranceGradient, relative)
    }

    /// Whether the iteration changed the loss by no more than `tolerance_loss_relative`.
    private var changesLossTooLittle: Bool {
        let tolerance = options.toleranceLossRelative
        guard tolerance > 0, let loss, let previousLoss, loss.isFinite, previousLoss.isFinite
        else { return false }
        return abs(loss - previousLoss) <= tolerance * max(abs(loss), abs(previousLoss))
    }

    /// torch's tests, in torch's order, then the one that torch does not have.
    func torchReason() -> StopReason? {
        if iterations >= options.maxIterations { return .maxIterations }
        if evaluations >= options.maxEvaluations { return .maxEvaluations }
        if isOptimal(gradientNormInf) { return .gradientTolerance }
        if abs(stepLength) * directionNormInf <= options.toleranceChange {
            return .stepTolerance
        }
        if let loss, let previousLoss, abs(loss - previousLoss) < options.toleranceChange {
            return .lossTolerance
        }
        return changesLossTooLittle ? .lossTolerance : nil
    }

    /// Tolerances before budgets.
    /// - Parameter searchFailed: Whether the line search failed. A small change is then no sign of
    ///   convergence.
    func robustReason(searchFailed: Bool = false) -> StopReason? {
        if isOptimal(gradientNormInf) { return .gradientTolerance }
        if stepLength != 0, !searchFailed {
            let change = options.toleranceChange
            if change > 0, abs(stepLength) * directionNormInf <= change { return .stepTolerance }
            if change > 0, let loss, let previousLoss, abs(loss - previousLoss) < change {
                return .lossTolerance
            }
            if changesLossTooLittle { return .lossTolerance }
        }
        if iterations >= options.maxIterations { return .maxIterations }
        if evaluations >= options.maxEvaluations { return .maxEvaluations }
        return nil
    }
}
