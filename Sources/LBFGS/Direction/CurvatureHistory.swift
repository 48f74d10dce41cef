/// torch's bound on the curvature y.s of a pair. It is absolute: it does not scale with the loss.
package let torchCurvatureMin = 1e-10

/// The curvature pairs of L-BFGS, oldest first, and the inverse Hessian H that they imply.
///
/// Theory. L-BFGS (Nocedal 1980; Liu & Nocedal 1989) keeps the newest m pairs of a step
/// s = x+ - x and the change of the gradient along it, y = g+ - g. The textbook applies H to a
/// gradient by the two-loop recursion, in 4 m passes over vectors, each of which waits for the dot
/// product of the one before. Here the recursion runs in the coefficients of the vectors g, s_i and
/// y_i instead (the vector-free form of Chen, Wang & Zhou 2014; the compact representation of Byrd,
/// Nocedal & Schnabel 1994), from the dot products
///
///     R_ij = s_i.y_j (i <= j)    M_ij = y_i.y_j    a_i = s_i.g    b_i = y_i.g
///
/// With gamma the scale of the initial inverse Hessian, and 1 the oldest of k pairs:
///
///     for i = k..1:  alpha_i = (a_i - sum_{j>i} R_ij alpha_j) / R_ii
///     for i = 1..k:  v_i = gamma (b_i - sum_j M_ij alpha_j)
///                    w_i = alpha_i - (v_i + sum_{j<i} R_ji w_j) / R_ii
///     d = -gamma g + gamma sum alpha_i y_i - sum w_i s_i
///
/// One pass reads the pairs for the dot products and one for the combination. That is 4 m n numbers
/// of memory traffic, and O(m^2) scalar work. `TorchOrder` is the other way, for few parameters.
package struct CurvatureHistory<Scalar: EngineScalar>: Equatable, Sendable {
    package internal(set) var pairs: [CurvaturePair<Scalar>] = []
    /// The number of pairs since the history was created; the last pair has this number.
    private(set) var pairsMade = 0
    /// gamma = s.y / y.y of the newest pair; 1 before the first (Nocedal & Wright 2006, equation
    /// 7.20).
    package private(set) var initialScale = 1.0
    var workspace = Workspace()
    package var executor = BlockExecutor.serial

    package init() {}

    init(pairs: [CurvaturePair<Scalar>], pairsMade: Int, initialScale: Double) {
        self.pairs = pairs
        self.pairsMade = pairsMade
        self.initialScale = initialScale
    }

    mutating func removeAll() {
        pairs.removeAll()
        initialScale = 1
    }

    /// Forms the pair of a step, adds it if y.s > `curvatureMin`, and computes the dot products
    /// that `combine` needs, in one pass over the pairs. O(m n).
    /// - Parameters:
    ///   - step: The step of the last iteration.
    ///   - gradient: The gradient at its end.
    ///   - sizeMax: The most pairs to keep; the oldest are dropped.
    ///   - curvatureMin: The bound on y.s.
    ///   - inTorchOrder: Whether y.s and y.y are rounded as torch rounds them; see `TorchOrder`.
    /// - Returns: Whether the pair was added.
    mutating func add(
        _ step: CurvatureStep<Scalar>, gradient: [Scalar], sizeMax: Int, curvatureMin: Double,
        inTorchOrder: Bool
    ) -> Bool {
        var storage = takeStorage(step)
        // Pairs that are dropped if the new one is added; their dot products are not needed.
        let dropped = max(0, pairs.count - sizeMax + 1)
        workspace.setTable(pairs[dropped...])
        LBFGS.computeDotProducts(
            gradient, after: step, writing: &storage, &workspace, on: executor)
        if inTorchOrder { computeOwnDotProductsInTorchOrder(storage) }
        if append(&storage, step.dtype, dropping: dropped, curvatureMin) { return true }
        swap(&storage, &workspace.spareStorage)
        if dropped > 0 { computeDotProducts(with: gradient) }
        return false
    }

    /// Memory for the pair of a step.
    mutating func takeStorage(_ step: CurvatureStep<Scalar>) -> PairStorage {
        var storage = PairStorage([])
        swap(&storage, &workspace.spareStorage)
        let size = 2 * step.direction.count * step.dtype.size
        if storage.count != size || !storage.isAligned {
            storage = PairStorage(count: size, number: pairsMade)
        }
        return storage
    }

    /// Computes the dot products that `combine` needs, when there is no step to form a pair of.
    /// O(m n).
    mutating func computeDotProducts(with gradient: [Scalar]) {
        var none = PairStorage([])
        workspace.setTable(pairs[...])
        LBFGS.computeDotProducts(
            gradient, after: nil, writing: &none, &workspace, on: executor)
    }

    /// Adds a pair if y.s > `curvatureMin`. O(m n).
    /// - Parameters:
    ///   - s: The step; n numbers.
    ///   - y: The change of the gradient along it; n numbers.
    ///   - sizeMax: The most pairs to keep; the oldest are dropped.
    ///   - curvatureMin: The bound on y.s.
    ///   - dtype: The precision in which the pair is stored.
    /// - Returns: Whether the pair was added.
    @discardableResult
    package mutating func offer(
        s: [Scalar], y: [Scalar], sizeMax: Int, curvatureMin: Double = torchCurvatureMin,
        dtype: HistoryDType = Scalar.historyDType
    ) -> Bool {
        let dropped = max(0, pairs.count - sizeMax + 1)
        var storage = PairStorage(packed(s, y, as: dtype))
        computePairDotProducts(storage, dtype, with: pairs[dropped...])
        return append(&storage, dtype, dropping: dropped, curvatureMin)
    }

    /// Replaces the pairs by given ones, oldest first, and computes the small matrices. O(m^2 n).
    mutating func replace(
        with vectors: [(s: [Scalar], y: [Scalar])], initialScale: Double, dtype: HistoryDType,
        inTorchOrder: Bool = false
    ) {
        pairs.removeAll()
        for (s, y) in vectors {
            let storage = PairStorage(packed(s, y, as: dtype))
            computePairDotProducts(storage, dtype, with: pairs[...])
            if inTorchOrder { computeOwnDotProductsInTorchOrder(storage) }
            append(storage, dtype)
        }
        self.initialScale = initialScale
    }

    /// Appends a pair whose dot products are in the workspace, and drops the oldest ones, if
    /// y.s > `curvatureMin`. A pair whose dot products overflow is never appended. Takes over the
    /// storage if it appends.
    mutating func append(
        _ storage: inout PairStorage, _ dtype: HistoryDType, dropping dropped: Int,
        _ curvatureMin: Double
    ) -> Bool {
        let kept = workspace.pairCount
        let (curvature, length) = (workspace.dots[4 * kept + 2], workspace.dots[4 * kept + 3])
        guard curvature > curvatureMin, curvature.isFinite, length.isFinite, length > 0 else {
            return false
        }
        if dropped > 0 {
            swap(&workspace.spareStorage, &pairs[dropped - 1].storage)
            swap(&workspace.spareSY, &pairs[dropped - 1].sy)
            swap(&workspace.spareYY, &pairs[dropped - 1].yy)
            pairs.removeFirst(dropped)
        }
        append(storage, dtype)
        storage = PairStorage([])
        initialScale = curvature / length
        return true
    }

    /// Appends a pair whose dot products are in the workspace.
    private mutating func append(_ storage: PairStorage, _ dtype: HistoryDType) {
        pairsMade += 1
        var (sy, yy): ([Double], [Double]) = ([], [])
        swap(&sy, &workspace.spareSY)
        swap(&yy, &workspace.spareYY)
        sy.removeAll(keepingCapacity: true)
        yy.removeAll(keepingCapacity: true)
        for index in 0...pairs.count {
            sy.append(workspace.dots[4 * index + 2])
            yy.append(workspace.dots[4 * index + 3])
        }
        pairs.append(
            CurvaturePair(number: pairsMade, dtype: dtype, storage: storage, sy: sy, yy: yy))
    }

    /// Computes the dot products of a stored pair with others, and with itself, in the workspace.
    private mutating func computePairDotProducts(
        _ storage: PairStorage, _ dtype: HistoryDType,
        with others: ArraySlice<CurvaturePair<Scalar>>
    ) {
        let column = [Double](repeating: 0, count: others.count + 1)
        let pair = CurvaturePair<Scalar>(
            number: 0, dtype: dtype, storage: storage, sy: column, yy: column)
        let all = Array(others) + [pair]
        var none = PairStorage([])
        workspace.setTable(all[...])
        LBFGS.computeDotProducts(
            pair.vector(1, as: Double.self), after: nil, writing: &none, &workspace, on: executor)
        withExtendedLifetime(all) {}
        workspace.pairCount -= 1
        for index in 0..<all.count {
            let base = 4 * index
            workspace.dots[base + 2] = workspace.dots[base]
            workspace.dots[base + 3] = workspace.dots[base + 1]
        }
    }

    /// Writes d = -H g to `direction`, and the coefficients alpha; with a step length also the
    /// trial point `start` + t d to `target`, in the same pass. O(m n + m^2).
    /// - Precondition: `add` or `computeDotProducts` was called before, with the same gradient.
    mutating func combine(
        _ gradient: [Scalar], into direction: inout [Scalar], alphas: inout [Double]?,
        from start: [Scalar], by stepLength: Double?, to target: inout [Scalar]
    ) -> Combined {
        workspace.setTable(pairs[...])
        let count = pairs.count
        var own = alphas ?? []
        alphas = nil
        if own.count > count { own.removeLast(own.count - count) }
        own.grow(to: count)
        workspace.computeWeights(gamma: initialScale, alphas: &own)
        alphas = own
        return LBFGS.combine(
            -initialScale, gradient, into: &direction, from: start, by: stepLength, to: &target,
            &workspace, on: executor)
    }

    /// d = -H g, and the coefficients alpha. O(m n + m^2).
    /// - Parameter gradient: g, n numbers.
    package mutating func direction(
        gradient: [Scalar]
    ) -> (direction: [Scalar], alphas: [Double]) {
        var (direction, target): ([Scalar], [Scalar]) = ([], [])
        var alphas: [Double]?
        computeDotProducts(with: gradient)
        _ = combine(gradient, into: &direction, alphas: &alphas, from: [], by: nil, to: &target)
        return (direction, alphas ?? [])
    }
}
