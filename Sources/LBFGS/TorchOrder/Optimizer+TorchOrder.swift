// The parts of a step that are computed in torch's order of operations: see `TorchOrder`. Mode
// `torch` has it since version 2 of the numerics.

extension Optimizer {
    /// Whether the running step rounds as torch does. It follows from the state alone, because a
    /// resumed run must decide alike.
    var isInTorchOrder: Bool {
        progress.options.mode == .torch && canBeInTorchOrder(progress.options)
    }

    func canBeInTorchOrder(_ options: Options) -> Bool {
        numerics >= 2 && Scalar.historyDType == .float64
            && (options.historyDType ?? .float64) == .float64
            && parameters.count <= TorchOrder.countMax
    }

    /// g.d, rounded as in the running step.
    func slope(_ gradient: [Scalar]) -> Double {
        guard isInTorchOrder else { return Scalar.dot(gradient, direction) }
        precondition(gradient.count == direction.count)
        // Sound: both have as many Float64 numbers; see `canBeInTorchOrder`.
        return unsafe withBytes(gradient, direction) {
            unsafe TorchOrder.dot($0, $1, gradient.count)
        }
    }

    /// ||g||_1, rounded as in the running step.
    var gradientNorm1: Double {
        isInTorchOrder ? TorchOrder.norm1(gradient.map(Double.init)) : Scalar.norm1(gradient)
    }

    /// Whether torch has the first step length in a tensor, because it was computed from a norm.
    var isFirstStepLengthTensor: Bool? {
        isInTorchOrder ? iterationCount == 1 && 1 / gradientNorm1 < 1 : nil
    }

    /// x + t d, with the bits of the trial point at that step length.
    func point(at stepLength: Double) -> [Scalar] {
        if isBoxed { return boxPoint(at: stepLength) }
        guard isInTorchOrder else {
            return Scalar.moved(parameters, along: direction, by: stepLength)
        }
        var point = parameters
        addStep(stepLength, to: &point)
        return point
    }

    /// Computes the trial point in torch's order and returns whether it is finite.
    mutating func placeTrialInTorchOrder(at stepLength: Double) -> Bool {
        if trialPoint.count != parameters.count { trialPoint = parameters }
        var point: [Scalar] = []
        swap(&point, &trialPoint)
        addStep(stepLength, to: &point)
        swap(&point, &trialPoint)
        return Scalar.isFinite(trialPoint)
    }

    private func addStep(_ stepLength: Double, to target: inout [Scalar]) {
        let count = parameters.count
        precondition(direction.count == count && target.count == count)
        // Sound: all three have as many Float64 numbers.
        unsafe target.withUnsafeMutableBytes { target in
            guard let target = target.baseAddress else { return }
            unsafe withBytes(parameters, direction) {
                unsafe TorchOrder.add($0, stepLength, $1, to: target, count)
            }
        }
    }

    private func withBytes<Value>(
        _ first: [Scalar], _ second: [Scalar],
        _ body: (UnsafeRawPointer, UnsafeRawPointer) -> Value
    ) -> Value {
        unsafe first.withUnsafeBytes { first in
            unsafe second.withUnsafeBytes { second in
                guard let first = first.baseAddress, let second = second.baseAddress else {
                    preconditionFailure("an optimizer has at least one parameter")
                }
                return unsafe body(first, second)
            }
        }
    }
}

extension CurvatureHistory {
    /// Writes -H g to `direction` by torch's two loops, and their alphas. Returns false, and
    /// changes nothing, if a pair is not stored in float64. O(m n).
    mutating func applyTwoLoopRecursion(
        _ gradient: [Scalar], into direction: inout [Scalar], alphas: inout [Double]?
    ) -> Bool {
        let count = gradient.count
        workspace.setTable(pairs[...])
        guard workspace.table[..<pairs.count].allSatisfy({ $0.dtype == .float64 }) else {
            return false
        }
        if direction.count != count { direction = gradient }
        var own = alphas ?? []
        alphas = nil
        if own.count > pairs.count { own.removeLast(own.count - pairs.count) }
        own.grow(to: pairs.count)
        // Sound: vectors have `count` Float64 numbers each, which stay in place until the closures
        // return.
        unsafe gradient.withUnsafeBytes { gradient in
            unsafe direction.withUnsafeMutableBytes { direction in
                unsafe workspace.table.withUnsafeBufferPointer { table in
                    unsafe own.withUnsafeMutableBufferPointer { alphas in
                        guard let gradient = gradient.baseAddress, let table = table.baseAddress,
                            let direction = direction.baseAddress
                        else { return }
                        unsafe TorchOrder.twoLoopRecursion(
                            gradient, count, table, workspace.pairCount, gamma: initialScale,
                            into: direction, alphas: alphas)
                    }
                }
            }
        }
        alphas = own
        return true
    }

    /// Replaces y.s and y.y of the new pair in the workspace by what torch computes.
    mutating func computeOwnDotProductsInTorchOrder(_ storage: PairStorage) {
        let (half, own) = (storage.count / 2, 4 * workspace.pairCount)
        // Sound: s, then y, of Float64 numbers.
        unsafe storage.withUnsafeBytes { octets in
            guard let s = octets.baseAddress else { return }
            let y = unsafe s + half
            workspace.dots[own + 2] = unsafe TorchOrder.dot(y, s, half / 8)
            workspace.dots[own + 3] = unsafe TorchOrder.dot(y, y, half / 8)
        }
    }
}
