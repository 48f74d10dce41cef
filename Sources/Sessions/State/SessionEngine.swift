internal import LBFGS

/// An optimizer of either precision, with vectors as `Vector`.
protocol SessionEngine: Sendable {
    var options: Options { get set }
    /// The version of the arithmetic that it began with.
    var numerics: Int { get }
    var executor: BlockExecutor { get set }
    var isStepping: Bool { get }
    var pendingTrial: Trial? { get }
    var loss: Double? { get }
    /// About the newest answer.
    var trialOutcome: TrialOutcome { get }
    var parameterVector: Vector { get }
    var trialVector: Vector { get }
    var stateInDoubles: TorchState<Double>? { get }
    /// sum w_i |x_i| at the trial point. O(n), and O(1) without an L1 term.
    var l1Term: Double { get }
    var sessionBounds: SessionBounds { get }
    var activeBoundCount: Int { get }
    /// Of the pairs in the history, oldest first.
    var pairNumbers: [Int] { get }

    mutating func beginStep(options: Options?) -> Directive
    mutating func advance(loss: Double, vector: Vector) -> Directive
    mutating func advanceInfeasible(loss: Double) -> Directive
    mutating func stop() -> StepResult
    mutating func replaceParameters(with vector: Vector)
    /// Adds parameters behind the others, in the bounds that they have.
    mutating func append(_ vector: Vector, _ bounds: SessionBounds)
    /// Replaces bounds and weights. Returns how many parameters were outside the bounds.
    mutating func set(_ bounds: SessionBounds) throws(BoundsError) -> Int
    /// Whether the bounds allow the options.
    func check(_ options: Options) throws(OptionError)
    /// The first `limit` active bounds from the parameter with index `first` on.
    func activeSet(from first: Int, limit: Int) -> [ActiveBound]
    mutating func freeze(_ ranges: [Range<Int>])
    var frozen: [Range<Int>] { get }
    /// With zeros where parameters are frozen.
    func masked(_ vector: Vector) -> Vector
    func checkDoubles(_ state: TorchState<Double>?) throws(TorchStateError)
    mutating func loadFromDoubles(_ state: TorchState<Double>?) throws(TorchStateError)
    func stored() -> StoredEngine
    var exportedPairs: [ExportedPair] { get }
}

/// An engine's snapshot in bytes, ready for a store.
struct StoredEngine {
    var scalars: StoredScalars.Engine
    var vectors: [VectorName: Octets]
    /// Pairs by number, oldest first; their bytes are made only for those that aren't stored yet.
    var pairs: [(number: Int, octets: () -> Octets)]
}

/// The two precisions a session can have.
protocol VectorScalar: EngineScalar, ByteCopyableNumber {
    static var dtype: DType { get }
    static func vector(_ values: [Self]) -> Vector
    static func values(of vector: Vector) -> [Self]?
    static func stored(_ scalars: OptimizerSnapshot<Self>.Scalars) -> StoredScalars.Engine
    static func bounds(of bounds: SessionBounds) -> (Bounds<Self>, L1Weights<Self>)?
    static func bounds(_ bounds: Bounds<Self>, _ l1: L1Weights<Self>) -> SessionBounds
}

extension Double: VectorScalar {
    static var dtype: DType { .float64 }
    static func vector(_ values: [Double]) -> Vector { .float64(values) }
    static func values(of vector: Vector) -> [Double]? {
        if case .float64(let values) = vector { values } else { nil }
    }
    static func stored(_ scalars: OptimizerSnapshot<Double>.Scalars) -> StoredScalars.Engine {
        .float64(scalars)
    }
    static func bounds(of bounds: SessionBounds) -> (Bounds<Double>, L1Weights<Double>)? {
        if case .float64(let bounds, let l1) = bounds { (bounds, l1) } else { nil }
    }
    static func bounds(_ bounds: Bounds<Double>, _ l1: L1Weights<Double>) -> SessionBounds {
        .float64(bounds, l1)
    }
}

extension Float: VectorScalar {
    static var dtype: DType { .float32 }
    static func vector(_ values: [Float]) -> Vector { .float32(values) }
    static func values(of vector: Vector) -> [Float]? {
        if case .float32(let values) = vector { values } else { nil }
    }
    static func stored(_ scalars: OptimizerSnapshot<Float>.Scalars) -> StoredScalars.Engine {
        .float32(scalars)
    }
    static func bounds(of bounds: SessionBounds) -> (Bounds<Float>, L1Weights<Float>)? {
        if case .float32(let bounds, let l1) = bounds { (bounds, l1) } else { nil }
    }
    static func bounds(_ bounds: Bounds<Float>, _ l1: L1Weights<Float>) -> SessionBounds {
        .float32(bounds, l1)
    }
}

extension Optimizer: SessionEngine where Scalar: VectorScalar {
    var parameterVector: Vector { Scalar.vector(parameters) }
    var frozen: [Range<Int>] { frozenRanges }
    var trialVector: Vector { Scalar.vector(trialPoint) }

    private func own(_ vector: Vector) -> [Scalar] {
        guard let values = Scalar.values(of: vector) else {
            preconditionFailure("a \(vector.dtype) vector for an engine of \(Scalar.self)")
        }
        return values
    }

    mutating func advance(loss: Double, vector: Vector) -> Directive {
        advance(loss: loss, gradient: own(vector))
    }

    mutating func replaceParameters(with vector: Vector) {
        replaceParameters(own(vector))
    }

    private func own(_ bounds: SessionBounds) -> (Bounds<Scalar>, L1Weights<Scalar>) {
        guard let own = Scalar.bounds(of: bounds) else {
            preconditionFailure("bounds of another precision than \(Scalar.self)")
        }
        return own
    }

    var sessionBounds: SessionBounds { Scalar.bounds(bounds, l1) }

    mutating func append(_ vector: Vector, _ bounds: SessionBounds) {
        let (bounds, l1) = own(bounds)
        append(own(vector), bounds: bounds, l1: l1)
    }

    mutating func set(_ bounds: SessionBounds) throws(BoundsError) -> Int {
        let (bounds, l1) = own(bounds)
        try check(bounds)
        try check(l1)
        try setL1(l1)
        return try setBounds(bounds)
    }

    var l1Term: Double {
        guard !l1.isEmpty else { return 0 }
        return trialPoint.indices.reduce(0) { sum, index in
            sum + Double(l1.weight(at: index)) * abs(Double(trialPoint[index]))
        }
    }

    func masked(_ vector: Vector) -> Vector { Scalar.vector(masked(own(vector))) }

    func checkDoubles(_ state: TorchState<Double>?) throws(TorchStateError) {
        if let state { try check(state.mapped { $0.map { Scalar($0) } }) }
    }

    var stateInDoubles: TorchState<Double>? { torchState.map { $0.mapped { $0.map(Double.init) } } }

    mutating func loadFromDoubles(_ state: TorchState<Double>?) throws(TorchStateError) {
        try load(state.map { $0.mapped { $0.map { Scalar($0) } } })
    }

    func stored() -> StoredEngine {
        let snapshot = snapshot
        return StoredEngine(
            scalars: Scalar.stored(snapshot.scalars),
            vectors: snapshot.vectors.mapValues { .vector(Scalar.vector($0)) },
            pairs: snapshot.pairs.map { pair in (pair.number, { pair.octets }) })
    }

    var exportedPairs: [ExportedPair] {
        snapshot.pairs.map { pair in
            ExportedPair(
                number: pair.number, dtype: pair.dtype, octets: pair.littleEndianOctets,
                sy: pair.sy, yy: pair.yy)
        }
    }
}

extension TorchState {
    func mapped<Other: EngineScalar>(_ transform: ([Scalar]) -> [Other]) -> TorchState<Other> {
        TorchState<Other>(
            funcEvals: funcEvals, nIter: nIter, d: d.map(transform), t: t,
            oldDirs: oldDirs?.map(transform), oldStps: oldStps?.map(transform), ro: ro,
            hDiag: hDiag, prevFlatGrad: prevFlatGrad.map(transform), prevLoss: prevLoss, al: al)
    }
}

// A stored pair: s, y, then its columns of the small matrices, which have equal lengths; and, if it
// doesn't have the session's precision, one octet that says which. Without that octet the length is
// a multiple of four.
extension CurvaturePair where Scalar: VectorScalar {
    var octets: Octets {
        let columns = littleEndianBytes(sy) + littleEndianBytes(yy)
        let tag = dtype == Scalar.historyDType ? [] : [dtype.tag]
        return .joined([.bytes(littleEndianOctets), Octets(columns + tag)])
    }

    /// Throws what reading the octets does; nil when they are no pair of vectors of `count`.
    static func read(
        _ octets: Octets, number: Int, count: Int
    ) throws(StoreError) -> CurvaturePair? {
        var failure: StoreError?
        let pair = unsafe CurvaturePair(
            number: number, count: octets.count,
            filledBy: { room in
                do throws(StoreError) {
                    try unsafe octets.read(into: room)
                } catch {
                    failure = error
                }
            },
            columns: { bytes in failure == nil ? columns(of: bytes, count: count) : nil })
        if let failure { throw failure }
        return pair
    }

    private static func columns(of bytes: ArraySlice<UInt8>, count: Int) -> Columns? {
        var dtype = Scalar.historyDType
        var bytes = bytes
        if !bytes.count.isMultiple(of: 4) {
            guard let tag = bytes.popLast(), let tagged = HistoryDType(tag: tag) else { return nil }
            dtype = tagged
        }
        let vectorBytes = 2 * count * dtype.size
        let columnBytes = bytes.count - vectorBytes
        guard columnBytes > 0, columnBytes.isMultiple(of: 2 * MemoryLayout<Double>.stride) else {
            return nil
        }
        let columns: [Double] = values(
            fromLittleEndianBytes: Array(bytes.dropFirst(vectorBytes)))
        return Columns(
            dtype: dtype, octetCount: vectorBytes, sy: Array(columns[..<(columns.count / 2)]),
            yy: Array(columns[(columns.count / 2)...]))
    }
}

extension HistoryDType {
    fileprivate var tag: UInt8 {
        switch self {
        case .float64: 1
        case .float32: 2
        case .bfloat16: 3
        }
    }

    fileprivate init?(tag: UInt8) {
        guard let dtype = Self.allCases.first(where: { $0.tag == tag }) else { return nil }
        self = dtype
    }
}
