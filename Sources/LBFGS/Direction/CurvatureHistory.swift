/// Theory: L-BFGS (Nocedal 1980; Liu & Nocedal 1989) keeps the newest m pairs of a step
/// s = x+ - x and the change it made to the gradient, y = g+ - g, and applies the inverse Hessian
/// that they imply to a gradient. The textbook's two-loop recursion does so with 4m passes over
/// vectors, each waiting for the dot product of the one before. Here it runs in the coefficients
/// of the vectors g, s_i, y_i instead (the vector-free form: Chen, Wang & Zhou 2014; the compact
/// representation: Byrd, Nocedal & Schnabel 1994), from the dot products
///
///     R_ij = s_i.y_j (i <= j)    M_ij = y_i.y_j    a_i = s_i.g    b_i = y_i.g
///
/// as, with gamma the scale of the initial inverse Hessian and 1 the oldest of k pairs,
///
///     for i = k..1:  alpha_i = (a_i - sum_{j>i} R_ij alpha_j) / R_ii
///     for i = 1..k:  v_i = gamma (b_i - sum_j M_ij alpha_j)
///                    w_i = alpha_i - (v_i + sum_{j<i} R_ji w_j) / R_ii
///     d = -gamma g + gamma sum alpha_i y_i - sum w_i s_i
///
/// One pass reads the pairs for the dots, one for the combination: 4 m n numbers of memory
/// traffic, and O(m^2) scalar work. `TorchOrder` is the other way, for few parameters.

/// torch's bound on y.s, which is absolute.
package let torchCurvatureMin = 1e-10

/// The newest pairs, oldest first, and the inverse Hessian that they imply.
package struct CurvatureHistory<Scalar: EngineScalar>: Equatable, Sendable {
    package internal(set) var pairs: [CurvaturePair<Scalar>] = []
    /// Pairs ever made; numbers the next one.
    private(set) var pairsMade = 0
    /// gamma: s.y / y.y of the newest pair; 1 before the first.
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

    /// Makes a pair of a step and the gradients around it, offers it to the history, and takes the
    /// dot products that `combine` needs: one pass over the pairs. O(m n).
    /// Returns whether the pair joined.
    /// - Parameter inTorchOrder: Rounds y.s and y.y as torch does; see `TorchOrder`.
    mutating func learn(
        _ step: Step<Scalar>, gradient: [Scalar], sizeMax: Int,
        curvatureMin: Double = torchCurvatureMin, inTorchOrder: Bool = false
    ) -> Bool {
        var octets = PairOctets([])
        swap(&octets, &workspace.spareOctets)
        let size = 2 * gradient.count * step.dtype.size
        if octets.count != size || !octets.isPlaced {
            octets = PairOctets(count: size, number: pairsMade)
        }
        // If the new pair joins, these leave, and their dot products aren't needed.
        let leaving = max(0, pairs.count - sizeMax + 1)
        workspace.list(pairs[leaving...])
        LBFGS.project(gradient, after: step, writing: &octets, &workspace, on: executor)
        if inTorchOrder { multiplyInTorchOrder(octets) }
        if join(&octets, step.dtype, replacing: leaving, curvatureMin) { return true }
        swap(&octets, &workspace.spareOctets)
        if leaving > 0 { project(gradient) }
        return false
    }

    /// The dot products that `combine` needs, when there is no step to learn from. O(m n).
    mutating func project(_ gradient: [Scalar]) {
        var none = PairOctets([])
        workspace.list(pairs[...])
        LBFGS.project(gradient, after: nil, writing: &none, &workspace, on: executor)
    }

    /// Offers a pair; see `learn`. O(m n).
    @discardableResult
    package mutating func offer(
        s: [Scalar], y: [Scalar], sizeMax: Int, curvatureMin: Double = torchCurvatureMin,
        dtype: HistoryDType = Scalar.historyDType
    ) -> Bool {
        let leaving = max(0, pairs.count - sizeMax + 1)
        var octets = PairOctets(packed(s, y, as: dtype))
        multiply(octets, dtype, with: pairs[leaving...])
        return join(&octets, dtype, replacing: leaving, curvatureMin)
    }

    /// Replaces the pairs by given ones, oldest first, and works out the small matrices.
    /// O(m^2 n).
    mutating func replace(
        with vectors: [(s: [Scalar], y: [Scalar])], initialScale: Double, dtype: HistoryDType,
        inTorchOrder: Bool = false
    ) {
        pairs.removeAll()
        for (s, y) in vectors {
            let octets = PairOctets(packed(s, y, as: dtype))
            multiply(octets, dtype, with: pairs[...])
            if inTorchOrder { multiplyInTorchOrder(octets) }
            append(octets, dtype)
        }
        self.initialScale = initialScale
    }

    /// A pair joins if y.s > `curvatureMin`; one whose dot products overflow never does. Takes
    /// `octets` if it does.
    private mutating func join(
        _ octets: inout PairOctets, _ dtype: HistoryDType, replacing leaving: Int,
        _ curvatureMin: Double
    ) -> Bool {
        let kept = workspace.pairCount
        let (curvature, length) = (workspace.dots[4 * kept + 2], workspace.dots[4 * kept + 3])
        guard curvature > curvatureMin, curvature.isFinite, length.isFinite, length > 0 else {
            return false
        }
        if leaving > 0 {
            swap(&workspace.spareOctets, &pairs[leaving - 1].octets)
            swap(&workspace.spareSY, &pairs[leaving - 1].sy)
            swap(&workspace.spareYY, &pairs[leaving - 1].yy)
            pairs.removeFirst(leaving)
        }
        append(octets, dtype)
        octets = PairOctets([])
        initialScale = curvature / length
        return true
    }

    /// Appends a pair whose dot products are in the workspace.
    private mutating func append(_ octets: PairOctets, _ dtype: HistoryDType) {
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
            CurvaturePair(number: pairsMade, dtype: dtype, octets: octets, sy: sy, yy: yy))
    }

    /// Leaves the dot products of a stored pair with others, and with itself, in the workspace.
    private mutating func multiply(
        _ octets: PairOctets, _ dtype: HistoryDType, with others: ArraySlice<CurvaturePair<Scalar>>
    ) {
        let column = [Double](repeating: 0, count: others.count + 1)
        let pair = CurvaturePair<Scalar>(
            number: 0, dtype: dtype, octets: octets, sy: column, yy: column)
        let all = Array(others) + [pair]
        var none = PairOctets([])
        workspace.list(all[...])
        LBFGS.project(
            pair.vector(1, as: Double.self), after: nil, writing: &none, &workspace, on: executor)
        withExtendedLifetime(all) {}
        workspace.pairCount -= 1
        for index in 0..<all.count {
            let base = 4 * index
            workspace.dots[base + 2] = workspace.dots[base]
            workspace.dots[base + 3] = workspace.dots[base + 1]
        }
    }

    /// d = -H g into `direction`, and the alphas of the first loop; with a step length also the
    /// trial point `start` + t d into `target`, in the same pass. `learn` or `project` came before,
    /// with the same gradient. O(m n + m^2).
    mutating func combine(
        _ gradient: [Scalar], into direction: inout [Scalar], alphas: inout [Double]?,
        from start: [Scalar], by stepLength: Double?, to target: inout [Scalar]
    ) -> Combined {
        workspace.list(pairs[...])
        let count = pairs.count
        var own = alphas ?? []
        alphas = nil
        if own.count > count { own.removeLast(own.count - count) }
        own.grow(to: count)
        workspace.solve(gamma: initialScale, alphas: &own)
        alphas = own
        return LBFGS.combine(
            -initialScale, gradient, into: &direction, from: start, by: stepLength, to: &target,
            &workspace, on: executor)
    }

    /// d = -H g, and the alphas of the first loop. O(m n + m^2).
    package mutating func direction(
        gradient: [Scalar]
    ) -> (direction: [Scalar], alphas: [Double]) {
        var (direction, target): ([Scalar], [Scalar]) = ([], [])
        var alphas: [Double]?
        project(gradient)
        _ = combine(gradient, into: &direction, alphas: &alphas, from: [], by: nil, to: &target)
        return (direction, alphas ?? [])
    }
}
