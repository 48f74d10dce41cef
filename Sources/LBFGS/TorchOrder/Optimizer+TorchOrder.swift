// Where a step takes torch's order of operations, which mode `torch` has since `numerics` 2.

extension Optimizer {
    /// Whether the running step rounds as torch does; see `TorchOrder`. Follows from the state, as
    /// everything that has to do with bits.
    var isInTorchOrder: Bool {
        progress.options.mode == .torch && canBeInTorchOrder(progress.options)
    }

    func canBeInTorchOrder(_ options: Options) -> Bool {
        numerics >= 2 && Scalar.historyDType == .float64
            && (options.historyDType ?? .float64) == .float64
            && parameters.count <= TorchOrder.countMax
    }

    /// g.d, as the running step rounds it.
    func slope(_ gradient: [Scalar]) -> Double {
        guard isInTorchOrder else { return Scalar.dot(gradient, direction) }
        precondition(gradient.count == direction.count)
        // Sound: both have as many Float64 numbers; see `canBeInTorchOrder`.
        return unsafe withBytes(gradient, direction) {
            unsafe TorchOrder.dot($0, $1, gradient.count)
        }
    }

    /// The step length of a run's first iteration.
    func firstStepLength(lr: Double) -> Double { min(1, 1 / gradientNorm1) * lr }

    private var gradientNorm1: Double {
        isInTorchOrder ? TorchOrder.norm1(gradient.map(Double.init)) : Scalar.norm1(gradient)
    }

    /// Whether torch's first step length comes from a norm, rather than being lr.
    var isFirstStepLengthTensor: Bool { iterationCount == 1 && 1 / gradientNorm1 < 1 }

    /// x + t d: the bits of the trial point there.
    func point(at stepLength: Double) -> [Scalar] {
        guard isInTorchOrder else {
            return Scalar.moved(parameters, along: direction, by: stepLength)
        }
        var point = parameters
        movePoint(&point, by: stepLength)
        return point
    }

    /// Makes the trial point in torch's order; returns whether it is finite.
    mutating func placeTrialInTorchOrder(at stepLength: Double) -> Bool {
        if trialPoint.count != parameters.count { trialPoint = parameters }
        var point: [Scalar] = []
        swap(&point, &trialPoint)
        movePoint(&point, by: stepLength)
        swap(&point, &trialPoint)
        return Scalar.isFinite(trialPoint)
    }

    private func movePoint(_ target: inout [Scalar], by stepLength: Double) {
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
                    preconditionFailure("an optimizer has a parameter at least")
                }
                return unsafe body(first, second)
            }
        }
    }
}

extension CurvatureHistory {
    /// -H g into `direction` by torch's two loops, and their alphas; `learn` or `project` came
    /// before. Returns whether it could: not with pairs of another precision.
    mutating func directInTorchOrder(
        _ gradient: [Scalar], into direction: inout [Scalar], alphas: inout [Double]?
    ) -> Bool {
        let count = gradient.count
        workspace.list(pairs[...])
        guard workspace.table[..<pairs.count].allSatisfy({ $0.dtype == .float64 }) else {
            return false
        }
        if direction.count != count { direction = gradient }
        var own = alphas ?? []
        alphas = nil
        if own.count > pairs.count { own.removeLast(own.count - pairs.count) }
        own.grow(to: pairs.count)
        // Sound: vectors have `count` Float64 numbers each, which stay in their place meanwhile.
        unsafe gradient.withUnsafeBytes { gradient in
            unsafe direction.withUnsafeMutableBytes { direction in
                unsafe workspace.table.withUnsafeBufferPointer { table in
                    unsafe own.withUnsafeMutableBufferPointer { alphas in
                        guard let gradient = gradient.baseAddress, let table = table.baseAddress,
                            let direction = direction.baseAddress
                        else { return }
                        unsafe TorchOrder.direct(
                            gradient, count, table, workspace.pairCount, gamma: initialScale,
                            into: direction, alphas: alphas)
                    }
                }
            }
        }
        alphas = own
        return true
    }

    /// Replaces the own dot products, y.s and y.y, of the pair that comes next by torch's.
    mutating func multiplyInTorchOrder(_ octets: PairOctets) {
        let (half, own) = (octets.count / 2, 4 * workspace.pairCount)
        // Sound: s, then y, of Float64 numbers.
        unsafe octets.withUnsafeBytes { octets in
            guard let s = octets.baseAddress else { return }
            let y = unsafe s + half
            workspace.dots[own + 2] = unsafe TorchOrder.dot(y, s, half / 8)
            workspace.dots[own + 3] = unsafe TorchOrder.dot(y, y, half / 8)
        }
    }
}
