extension Optimizer {
    /// torch's state; nil before the first evaluation, when torch's is empty. O(m n).
    public var torchState: TorchState<Scalar>? {
        guard evaluationCount > 0 else { return nil }
        var state = TorchState<Scalar>(funcEvals: evaluationCount, nIter: iterationCount)
        guard iterationCount > 0 else { return state }
        let pairs = history.pairs
        state.d = direction
        state.t = stepLength
        state.oldDirs = pairs.map(\.y)
        state.oldStps = pairs.map(\.s)
        state.ro = pairs.map { 1 / $0.sy[$0.sy.count - 1] }
        state.hDiag = history.initialScale
        state.prevFlatGrad = previousGradient
        state.prevLoss = previousLoss
        if let alphas {
            // torch runs its recursion on -g: its alphas have the other sign.
            let padding = max(0, options.historySize - alphas.count)
            state.al = alphas.map { -$0 } + [Double?](repeating: nil, count: padding)
        }
        return state
    }

    /// Replaces the state, but not the parameters. O(m^2 n), for the dot products of the pairs.
    /// - Parameter state: The state to load; nil for that of a new optimizer.
    /// - Precondition: No step is running.
    /// - Throws: As ``check(_:)-(TorchState<Scalar>)``, and then nothing has changed.
    public mutating func load(_ state: TorchState<Scalar>?) throws(TorchStateError) {
        precondition(!isStepping, "a step runs")
        if let state { try check(state) }
        iterationCount = state?.nIter ?? 0
        evaluationCount = state?.funcEvals ?? 0
        direction = state?.d ?? []
        directionNormInf = Scalar.normInf(direction)
        stepLength = state?.t ?? 0
        previousGradient = state?.prevFlatGrad ?? []
        previousLoss = state?.prevLoss
        alphas = state?.al.map { $0.compactMap { $0.map { -$0 } } }
        loss = nil
        gradient = []
        gradientNormInf = .infinity
        carried = CarriedState(best: carried.best)
        let pairs = zip(state?.oldStps ?? [], state?.oldDirs ?? []).map { (s: $0, y: $1) }
        history.replace(
            with: pairs, initialScale: state?.hDiag ?? 1,
            dtype: options.historyDType ?? Scalar.historyDType,
            inTorchOrder: canBeInTorchOrder(options))
    }

    /// Checks whether a state can be loaded. O(m n).
    /// - Parameter state: The state to check.
    /// - Throws: The first key whose value does not fit.
    public func check(_ state: TorchState<Scalar>) throws(TorchStateError) {
        for (key, count) in [("func_evals", state.funcEvals), ("n_iter", state.nIter)] {
            guard (0...TorchState<Scalar>.countMax).contains(count) else {
                throw TorchStateError(
                    key: key,
                    reason: "must be from 0 to \(TorchState<Scalar>.countMax), not \(count)")
            }
        }
        try check(state.d, "d")
        try check(state.prevFlatGrad, "prev_flat_grad")
        let (ys, ss) = (state.oldDirs ?? [], state.oldStps ?? [])
        guard ys.count == ss.count else {
            throw TorchStateError(
                key: "old_stps", reason: "has \(ss.count) vectors, old_dirs has \(ys.count)")
        }
        if let ro = state.ro, ro.count != ys.count {
            throw TorchStateError(
                key: "ro", reason: "has \(ro.count) numbers, old_dirs has \(ys.count) vectors")
        }
        for (index, (y, s)) in zip(ys, ss).enumerated() {
            try check(y, "old_dirs[\(index)]")
            try check(s, "old_stps[\(index)]")
            guard Scalar.dot(y, s) > 0 else {
                throw TorchStateError(
                    key: "old_stps[\(index)]",
                    reason: "must have a positive dot product with old_dirs[\(index)]")
            }
        }
        for (key, value) in [("t", state.t), ("H_diag", state.hDiag)] {
            if let value, !value.isFinite {
                throw TorchStateError(key: key, reason: "must be finite, not \(value)")
            }
        }
        if state.nIter > 0 && (state.d == nil) != (state.prevFlatGrad == nil) {
            let missing = state.d == nil ? "d" : "prev_flat_grad"
            throw TorchStateError(
                key: missing, reason: "is needed: n_iter is \(state.nIter)")
        }
    }

    private func check(_ vector: [Scalar]?, _ key: String) throws(TorchStateError) {
        guard let vector else { return }
        guard vector.count == parameters.count else {
            throw TorchStateError(
                key: key,
                reason: "has \(vector.count) numbers, the parameters have \(parameters.count)")
        }
        guard Scalar.isFinite(vector) else {
            throw TorchStateError(key: key, reason: "must be finite")
        }
    }
}
