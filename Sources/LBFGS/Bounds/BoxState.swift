/// The bounds and the L1 term of an optimizer, and what its steps carry with them.
struct BoxState<Scalar: EngineScalar>: Equatable, Sendable {
    var bounds = Bounds<Scalar>.none
    var l1 = L1Weights<Scalar>.none
    /// Whether there have been bounds or an L1 term, so that snapshots hold them.
    var isUsed = false
    /// The base face of the Gram matrices, one octet for each parameter: see `FaceGram`. Empty
    /// before the first face.
    var baseFace: [UInt8] = []
    /// The length of the last step, while the history is empty because its pair was refused.
    var refusedStepNorm: Double?

    var isEmpty: Bool { bounds.isEmpty && l1.isEmpty }

    /// Calls `body` with the numbers' addresses.
    @inline(__always)
    func withAddress(_ body: (BoxAddress<Scalar>) -> Void) {
        func withPointer(
            _ values: ParameterValues<Scalar>, _ missing: Double,
            _ body: (UnsafePointer<Scalar>?, Double) -> Void
        ) {
            switch values {
            case .none: body(nil, missing)
            case .uniform(let value): body(nil, Double(value))
            case .each(let values):
                unsafe values.withUnsafeBufferPointer { unsafe body($0.baseAddress, missing) }
            }
        }
        let hasWeights = !l1.isEmpty
        unsafe withPointer(bounds.lower, -.infinity) { lower, lowerForAll in
            unsafe withPointer(bounds.upper, .infinity) { upper, upperForAll in
                unsafe withPointer(l1.weights, 0) { weights, weightForAll in
                    unsafe body(
                        BoxAddress(
                            lower: lower, upper: upper, weights: weights,
                            lowerForAll: lowerForAll, upperForAll: upperForAll,
                            weightForAll: weightForAll, hasWeights: hasWeights))
                }
            }
        }
    }
}

/// What the steps of a bounded optimizer compute again from its state, and memory that they use
/// again. All values are equal: no result depends on them.
struct FaceCache<Scalar: EngineScalar>: Equatable, Sendable {
    /// Where each parameter is, for the present direction: see `FaceStatus`.
    var status: [UInt8] = []
    /// How many parameters are not free.
    var heldCount = 0
    /// The pseudo-gradient; empty if there is no L1 term.
    var pseudoGradient: [Scalar] = []
    /// The Gram matrices of `BoxState.baseFace`, and the parameters on it in each block.
    var gram = FaceGram()
    var baseCounts: [Int] = []
    /// The parameters by which the present face differs from the base.
    var differences: [Int] = []
    /// Whether the last direction needed the Gram matrices: the next one then adds its column in
    /// the pass that forms the pair.
    var needsGram = false
    /// The Gram matrices of the present face.
    var current = FaceGram()
    var middle = MiddleMatrix()
    var subspace = SubspaceMatrix()
    var path = CauchyPath()
    /// s_i.g and y_i.g over the free parameters.
    var sg: [Double] = []
    var yg: [Double] = []
    /// The parameters that stopped on the way to the Cauchy point, and how far they move.
    var stops: [(index: Int, move: Scalar)] = []
    /// M W_A' Delta_A
    var q: [Double] = []
    var row: [Double] = []
    var scratch: [Double] = []
    /// The L1 term of the newest trial.
    var l1Term = 0.0

    static func == (_: FaceCache, _: FaceCache) -> Bool { true }
}
