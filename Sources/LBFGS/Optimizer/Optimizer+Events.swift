// The events that drive an optimizer; what they do is in `StepMachine+Events.swift`.

extension Optimizer {
    /// Begins a step. The first evaluation is wanted at ``parameters``, unless
    /// ``Options/reuseEvaluation`` is on and loss and gradient there are known from the step
    /// before.
    ///
    /// O(1), or O(m n) when the evaluation is reused.
    /// - Parameter stepOptions: Valid options for this step only, or nil for ``options``.
    /// - Precondition: No step is running. The options satisfy ``check(_:)-(Options)``.
    /// - Returns: The evaluation that is wanted, or the step's result.
    public mutating func beginStep(options stepOptions: Options? = nil) -> Directive {
        begin(options: stepOptions)
    }

    /// Answers the pending evaluation. A loss or gradient that is not finite makes the point
    /// infeasible.
    ///
    /// O(n) within a line search, O(m n) where an iteration ends.
    /// - Parameters:
    ///   - loss: f at ``trialPoint``.
    ///   - gradient: The gradient of f at ``trialPoint``, n numbers in the order of ``parameters``.
    /// - Precondition: A step is running, and the gradient has n numbers.
    /// - Returns: The next evaluation that is wanted, or the step's result.
    @specialized(where Scalar == Double)
    @specialized(where Scalar == Float)
    public mutating func advance(loss: Double, gradient: [Scalar]) -> Directive {
        precondition(gradient.count == parameters.count, "\(gradient.count) numbers")
        let gradient = masked(gradient)
        let inspection = inspect(gradient)
        let loss = box.l1.isEmpty ? loss : loss + face.l1Term
        guard inspection.isFinite, loss.isFinite || canContinue(from: loss) else {
            return advanceFromInfeasible(loss: loss)
        }
        buffers.trialNormInf = inspection.normInf
        return advance(loss: loss, gradient: gradient, inspection)
    }

    /// Answers the pending evaluation: the point is infeasible, because there is no loss or none
    /// that is finite.
    ///
    /// O(n).
    /// - Parameter loss: What was computed there, for ``StepResult/lossBefore``.
    /// - Precondition: A step is running.
    /// - Returns: The next evaluation that is wanted, or the step's result.
    public mutating func advanceInfeasible(loss: Double = .nan) -> Directive {
        advanceFromInfeasible(loss: loss)
    }

    /// Ends the running step now, at the point with the lowest loss that it has seen. O(n).
    ///
    /// d, t and the previous gradient are left such that the next step forms a true pair or none.
    /// - Precondition: A step is running.
    /// - Returns: The result, with the reason ``StopReason/stopped``.
    public mutating func stop() -> StepResult {
        endAtBestPoint()
    }
}
