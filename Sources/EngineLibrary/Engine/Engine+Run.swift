internal import CLbfgsd
internal import LBFGS

extension Engine {
    /// Runs a step, or goes on with the one that runs.
    /// - Parameters:
    ///   - evaluate: Called with the point and memory for the loss and the gradient; not 0 ends the
    ///     step.
    ///   - progress: Called after each iteration but the last; not 0 ends the step.
    func run(
        evaluate: (
            UnsafePointer<Scalar>, UnsafeMutablePointer<Double>, UnsafeMutablePointer<Scalar>
        ) -> Int32,
        progress: () -> Int32
    ) throws(LibraryError) -> lbfgsd_status {
        var status = isStepping ? LBFGSD_EVALUATE : try begin(nil)
        var iteration = pendingIteration
        while status == LBFGSD_EVALUATE {
            let event = events
            if pendingIteration > iteration, iteration > 0 {
                let answer = progress()
                try requireEvent(event)
                if answer != 0 { return try stop() }
            }
            iteration = pendingIteration
            guard let point = unsafe point, let gradient = unsafe pendingGradient else {
                throw .noStepRuns
            }
            var loss = Double.nan
            let answer = unsafe evaluate(point, &loss, gradient)
            try requireEvent(event)
            if answer != 0 { return try stop() }
            status = try unsafe advance(loss: loss, gradient: loss.isNaN ? nil : gradient)
        }
        return status
    }

    private func requireEvent(_ event: Int) throws(LibraryError) {
        guard event == events else {
            throw LibraryError(LBFGSD_ERROR_ORDER, "a callback has driven the optimizer itself")
        }
    }
}
