/// What `torch.optim.LBFGS.state_dict()` holds under the first parameter, in flat vectors.
/// A key that torch wouldn't have yet is nil.
public struct TorchState<Scalar: EngineScalar>: Equatable, Sendable {
    public var funcEvals: Int
    public var nIter: Int
    public var d: [Scalar]?
    public var t: Double?
    /// The y's, oldest first: torch's name for them is misleading.
    public var oldDirs: [[Scalar]]?
    /// The s's, oldest first.
    public var oldStps: [[Scalar]]?
    /// 1 / (y.s)
    public var ro: [Double]?
    public var hDiag: Double?
    public var prevFlatGrad: [Scalar]?
    public var prevLoss: Double?
    /// The newest direction's alphas, padded with nil to `history_size`.
    public var al: [Double?]?

    public init(
        funcEvals: Int, nIter: Int, d: [Scalar]? = nil, t: Double? = nil,
        oldDirs: [[Scalar]]? = nil, oldStps: [[Scalar]]? = nil, ro: [Double]? = nil,
        hDiag: Double? = nil, prevFlatGrad: [Scalar]? = nil, prevLoss: Double? = nil,
        al: [Double?]? = nil
    ) {
        self.funcEvals = funcEvals
        self.nIter = nIter
        self.d = d
        self.t = t
        self.oldDirs = oldDirs
        self.oldStps = oldStps
        self.ro = ro
        self.hDiag = hDiag
        self.prevFlatGrad = prevFlatGrad
        self.prevLoss = prevLoss
        self.al = al
    }
}

/// A state that doesn't fit the optimizer; names torch's key.
public struct TorchStateError: Error, Equatable, Sendable {
    /// e.g. `old_dirs[3]`
    public var key: String
    public var reason: String

    public init(key: String, reason: String) {
        self.key = key
        self.reason = reason
    }
}

extension Optimizer {
    /// nil before the first evaluation, as torch's `state` is empty then.
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

    /// Takes over what another optimizer has learnt; the parameters stay. nil forgets everything.
    /// O(m^2 n), for the dot products of the pairs.
    /// - Precondition: no step runs.
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
        memory = Memory(best: memory.best)
        let pairs = zip(state?.oldStps ?? [], state?.oldDirs ?? []).map { (s: $0, y: $1) }
        history.replace(
            with: pairs, initialScale: state?.hDiag ?? 1,
            dtype: options.historyDType ?? Scalar.historyDType,
            inTorchOrder: canBeInTorchOrder(options))
    }

    /// Throws what would keep `load` from taking the state.
    public func check(_ state: TorchState<Scalar>) throws(TorchStateError) {
        guard state.funcEvals >= 0 else {
            throw TorchStateError(key: "func_evals", reason: "must be at least 0")
        }
        guard state.nIter >= 0 else {
            throw TorchStateError(key: "n_iter", reason: "must be at least 0")
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
