internal import CLbfgsd
internal import LBFGS

/// An optimizer of the library: the engine's value, the result of its last step, and memory for the
/// next gradient. One thread at a time uses it.
///
/// Each method checks what the engine requires of its callers, and throws what C made wrong.
///
/// Pointers that C gets are those of arrays' elements. An array of numbers keeps its elements in
/// place until it is changed or released, and the arrays here are, by events only.
final class Engine<Scalar: EngineScalar> {
    var optimizer: Optimizer<Scalar>
    /// The result of the step that ended last.
    var lastResult: StepResult?
    /// The counts of all steps, when the newest step began.
    var countsBefore = StepCounts()
    /// The iteration of the pending evaluation within its step.
    var pendingIteration = 0
    /// Counts the events, so that a callback that causes one is noticed.
    private(set) var events = 0
    /// Memory for the gradient of the pending evaluation; empty until it is asked for.
    private var gradientBuffer: [Scalar] = []

    /// n.
    let count: Int
    /// Whether a step runs. Asking `optimizer` itself copies it, which costs a microsecond.
    private(set) var isStepping: Bool

    init(_ optimizer: Optimizer<Scalar>) {
        self.optimizer = optimizer
        count = optimizer.parameters.count
        isStepping = optimizer.isStepping
    }
}

/// Counts over all steps.
struct StepCounts: Codable {
    var iterations = 0
    var evaluations = 0
}

// MARK: - Events

extension Engine {
    func begin(_ options: Options?) throws(LibraryError) -> lbfgsd_status {
        guard !isStepping else { throw .stepRuns }
        if let options { try check(options) }
        countsBefore = StepCounts(
            iterations: optimizer.iterationCount, evaluations: optimizer.evaluationCount)
        return follow(optimizer.beginStep(options: options))
    }

    /// - Parameter gradient: n numbers, or nil where the loss is not finite.
    func advance(
        loss: Double, gradient: UnsafePointer<Scalar>?
    ) throws(LibraryError) -> lbfgsd_status {
        guard isStepping else { throw .noStepRuns }
        guard let gradient = unsafe gradient else {
            guard !loss.isFinite else { throw .null("gradient") }
            return follow(optimizer.advanceInfeasible(loss: loss))
        }
        return follow(optimizer.advance(loss: loss, gradient: unsafe taken(gradient)))
    }

    /// - Parameter memory: Receives where the next evaluation is wanted, or x; n numbers.
    func advance(
        loss: Double, gradient: UnsafePointer<Scalar>?, to memory: UnsafeMutablePointer<Scalar>
    ) throws(LibraryError) -> lbfgsd_status {
        let status = try unsafe advance(loss: loss, gradient: gradient)
        // Sound: both have n numbers, and the caller's memory is none of the engine's.
        if let next = unsafe point ?? x { unsafe memory.update(from: next, count: count) }
        return status
    }

    func stop() throws(LibraryError) -> lbfgsd_status {
        guard isStepping else { throw .noStepRuns }
        return follow(.finished(optimizer.stop()))
    }

    private func follow(_ directive: Directive) -> lbfgsd_status {
        events &+= 1
        switch directive {
        case .evaluate(let trial):
            isStepping = true
            pendingIteration = trial.iteration
            return LBFGSD_EVALUATE
        case .finished(let result):
            isStepping = false
            lastResult = result
            gradientBuffer = []
            return LBFGSD_FINISHED
        }
    }

    /// The numbers at `pointer`: the buffer itself if they are there, or else a copy.
    private func taken(_ pointer: UnsafePointer<Scalar>) -> [Scalar] {
        if unsafe !gradientBuffer.isEmpty && elements(of: gradientBuffer) == pointer {
            var buffer: [Scalar] = []
            swap(&buffer, &gradientBuffer)
            return buffer
        }
        // Sound: the caller has n numbers there.
        return unsafe Array(UnsafeBufferPointer(start: pointer, count: count))
    }
}

// MARK: - Changes between two steps

extension Engine {
    func check(_ options: Options) throws(LibraryError) {
        do throws(OptionError) {
            try optimizer.check(options)
        } catch {
            throw LibraryError(error)
        }
    }

    func setOptions(_ options: Options) throws(LibraryError) {
        try check(options)
        optimizer.options = options
    }

    func setBounds(
        lower: ParameterValues<Double>, upper: ParameterValues<Double>
    ) throws(LibraryError) {
        guard !isStepping else { throw .stepRuns }
        do throws(BoundsError) {
            try optimizer.setBounds(Bounds(lower: lower, upper: upper, count: count))
        } catch {
            throw LibraryError(error)
        }
    }

    func setL1(_ weights: ParameterValues<Double>) throws(LibraryError) {
        guard !isStepping else { throw .stepRuns }
        do throws(BoundsError) {
            try optimizer.setL1(L1Weights(weights, count: count))
        } catch {
            throw LibraryError(error)
        }
    }

    /// - Parameter pointer: n numbers.
    func setX(_ pointer: UnsafePointer<Scalar>) throws(LibraryError) {
        guard !isStepping else { throw .stepRuns }
        // Sound: the caller has n numbers there.
        let x = unsafe Array(UnsafeBufferPointer(start: pointer, count: count))
        try requireFinite(x, "x")
        optimizer.replaceParameters(x)
    }
}

extension LibraryError {
    init(_ error: BoundsError) {
        self.init(LBFGSD_ERROR_BOUNDS, "\(error.field.rawValue) \(error.reason)")
    }
}

/// Throws the first number that is not finite.
func requireFinite<Scalar: EngineScalar>(
    _ values: [Scalar], _ name: String
) throws(LibraryError) {
    guard let index = values.firstIndex(where: { !$0.isFinite }) else { return }
    throw LibraryError(
        LBFGSD_ERROR_NOT_FINITE, "\(name) must be finite at index \(index), not \(values[index])")
}

// MARK: - Memory that C reads and writes

extension Engine {
    /// Where the pending evaluation is wanted; nil if none is.
    var point: UnsafePointer<Scalar>? {
        isStepping ? unsafe elements(of: optimizer.trialPoint) : nil
    }

    var x: UnsafePointer<Scalar>? { unsafe elements(of: optimizer.parameters) }

    var xGradient: UnsafePointer<Scalar>? {
        guard let gradient = optimizer.parametersGradient else { return nil }
        return unsafe elements(of: gradient)
    }

    /// Memory for the gradient of the pending evaluation; nil if none is wanted.
    var pendingGradient: UnsafeMutablePointer<Scalar>? {
        guard isStepping else { return nil }
        if gradientBuffer.isEmpty {
            // Sound: the caller writes all numbers before they are read; any bits are a number.
            gradientBuffer = unsafe [Scalar](unsafeUninitializedCapacity: count) { $1 = count }
        }
        return unsafe gradientBuffer.withUnsafeMutableBufferPointer { $0.baseAddress }
    }

    private func elements(of array: [Scalar]) -> UnsafePointer<Scalar>? {
        // Sound: see the type's documentation.
        unsafe array.withUnsafeBufferPointer { $0.baseAddress }
    }
}

extension Engine: SteppingEngine {
    func activeSet() -> [ActiveBound] { optimizer.activeSet() }
}
