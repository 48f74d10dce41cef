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
/// traffic, and O(m^2) scalar work.

/// A pair (s, y), with its column of the small matrices.
///
/// It never changes once it is made, so that it can be written to disk once and shared.
public struct CurvaturePair<Scalar: EngineScalar>: Equatable, Sendable {
    /// 1, 2, 3 ... over the life of the optimizer.
    public let number: Int
    public let s: [Scalar]
    public let y: [Scalar]
    /// s_i.y of the pairs that were kept when this one was made, oldest first, and its own last.
    public let sy: [Double]
    /// y_i.y of the same pairs.
    public let yy: [Double]

    /// - Precondition: `s` and `y` have equal counts, and `sy` and `yy` have, at least 1.
    public init(number: Int, s: [Scalar], y: [Scalar], sy: [Double], yy: [Double]) {
        precondition(s.count == y.count && sy.count == yy.count && !sy.isEmpty)
        self.number = number
        self.s = s
        self.y = y
        self.sy = sy
        self.yy = yy
    }
}

/// The newest pairs, oldest first, and the inverse Hessian that they imply.
package struct CurvatureHistory<Scalar: EngineScalar>: Equatable, Sendable {
    package private(set) var pairs: [CurvaturePair<Scalar>] = []
    /// Pairs ever made; numbers the next one.
    private(set) var pairsMade = 0
    /// gamma: s.y / y.y of the newest pair; 1 before the first.
    package private(set) var initialScale = 1.0

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

    /// A pair joins if y.s > `curvatureMin`, which is absolute in torch's rule; one whose dot
    /// products overflow never does. Returns whether it joined. O(m n).
    @discardableResult
    package mutating func offer(
        s: [Scalar], y: [Scalar], sizeMax: Int, curvatureMin: Double = 1e-10
    ) -> Bool {
        let curvature = Scalar.dot(y, s)
        guard curvature > curvatureMin, curvature.isFinite else { return false }
        let length = Scalar.dot(y, y)
        guard length.isFinite, length > 0 else { return false }
        if pairs.count >= sizeMax { pairs.removeFirst(pairs.count - sizeMax + 1) }
        append(s: s, y: y, curvature: curvature, length: length)
        initialScale = curvature / length
        return true
    }

    private mutating func append(s: [Scalar], y: [Scalar], curvature: Double, length: Double) {
        pairsMade += 1
        pairs.append(
            CurvaturePair(
                number: pairsMade, s: s, y: y, sy: pairs.map { Scalar.dot($0.s, y) } + [curvature],
                yy: pairs.map { Scalar.dot($0.y, y) } + [length]))
    }

    /// Replaces the pairs by given ones, oldest first, and works out the small matrices.
    /// O(m^2 n).
    mutating func replace(with vectors: [(s: [Scalar], y: [Scalar])], initialScale: Double) {
        pairs.removeAll()
        for (s, y) in vectors {
            append(s: s, y: y, curvature: Scalar.dot(y, s), length: Scalar.dot(y, y))
        }
        self.initialScale = initialScale
    }

    /// R_ij = s_i.y_j for i <= j: pair j's column ends with its own row.
    private func stepChange(_ i: Int, _ j: Int) -> Double {
        pairs[j].sy[pairs[j].sy.count - 1 - (j - i)]
    }

    /// M_ij = y_i.y_j, symmetric.
    private func changeChange(_ i: Int, _ j: Int) -> Double {
        let (old, new) = (min(i, j), max(i, j))
        return pairs[new].yy[pairs[new].yy.count - 1 - (new - old)]
    }

    /// d = -H g, and the alphas of the first loop. O(m n + m^2).
    package func direction(gradient: [Scalar]) -> (direction: [Scalar], alphas: [Double]) {
        let count = pairs.count
        let gamma = initialScale
        let stepDots = pairs.map { Scalar.dot($0.s, gradient) }
        let changeDots = pairs.map { Scalar.dot($0.y, gradient) }
        var alphas = [Double](repeating: 0, count: count)
        for i in stride(from: count - 1, through: 0, by: -1) {
            var rest = stepDots[i]
            for j in i + 1..<max(count, i + 1) { rest -= stepChange(i, j) * alphas[j] }
            alphas[i] = rest / stepChange(i, i)
        }
        var weights = [Double](repeating: 0, count: count)
        for i in 0..<count {
            var projection = changeDots[i]
            for j in 0..<count { projection -= changeChange(i, j) * alphas[j] }
            projection *= gamma
            for j in 0..<i { projection += stepChange(j, i) * weights[j] }
            weights[i] = alphas[i] - projection / stepChange(i, i)
        }
        let direction = Scalar.combined(
            scale: -gamma, gradient, pairs: pairs, s: weights.map { -$0 },
            y: alphas.map { gamma * $0 })
        return (direction, alphas)
    }
}
