extension Optimizer {
    /// Runs one step with a closure that evaluates the loss and its gradient: what
    /// `torch.optim.LBFGS.step` does, for Swift programs that hold their model themselves.
    ///
    ///     var optimizer = try Optimizer([-1.2, 1.0], options: Options(lineSearch: .strongWolfe))
    ///     let result = optimizer.step { point in (loss(point), gradient(point)) }
    ///
    /// O(m n) an iteration, besides the evaluations.
    /// - Parameter evaluate: Called with x; returns f(x) and its gradient, as many numbers as x
    ///   has. A result that is not finite marks the point as infeasible. If the closure throws, the
    ///   step ends at the best point seen, and the error is passed on.
    /// - Precondition: No step is running.
    /// - Returns: The step's result.
    @discardableResult
    public mutating func step<Failure: Error>(
        _ evaluate: ([Scalar]) throws(Failure) -> (loss: Double, gradient: [Scalar])
    ) throws(Failure) -> StepResult {
        var directive = beginStep()
        while true {
            switch directive {
            case .finished(let result):
                return result
            case .evaluate:
                do {
                    let (loss, gradient) = try evaluate(trialPoint)
                    directive = advance(loss: loss, gradient: gradient)
                } catch {
                    _ = stop()
                    throw error
                }
            }
        }
    }
}
