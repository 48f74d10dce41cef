/// The state that `torch.optim.LBFGS.state_dict()` holds under the first parameter, with flat
/// vectors of n numbers. A key that torch would not have yet is nil.
public struct TorchState<Scalar: EngineScalar>: Equatable, Sendable {
    /// `func_evals`: evaluations over the optimizer's life.
    public var funcEvals: Int
    /// `n_iter`: iterations over the optimizer's life.
    public var nIter: Int
    /// `d`: the last direction.
    public var d: [Scalar]?
    /// `t`: the last step length.
    public var t: Double?
    /// `old_dirs`: the y's, oldest first, in spite of torch's name for them.
    public var oldDirs: [[Scalar]]?
    /// `old_stps`: the s's, oldest first.
    public var oldStps: [[Scalar]]?
    /// `ro`: 1 / (y.s) of each pair.
    public var ro: [Double]?
    /// `H_diag`: the scale of the initial inverse Hessian.
    public var hDiag: Double?
    /// `prev_flat_grad`: the gradient at the start of the last iteration.
    public var prevFlatGrad: [Scalar]?
    /// `prev_loss`: the loss at the start of the last iteration.
    public var prevLoss: Double?
    /// `al`: the coefficients alpha of the last direction, padded with nil to `history_size`.
    public var al: [Double?]?

    /// The largest `func_evals` and `n_iter`, which are counted on from.
    public static var countMax: Int { 1 << 53 }

    /// A state; keys that are left out are nil.
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

/// A state that does not fit the optimizer.
public struct TorchStateError: Error, Equatable, Sendable {
    /// torch's key, for example `old_dirs[3]`.
    public var key: String
    /// What is wrong with its value: a sentence that begins after the key.
    public var reason: String

    /// An error about one key.
    public init(key: String, reason: String) {
        self.key = key
        self.reason = reason
    }
}
