import LBFGS
import Testing

#if arch(x86_64)
    private typealias Wide = Float80
#else
    private typealias Wide = Double
#endif

/// Pairs of a convex quadratic, the dense matrix B of the L-BFGS formula, and a face.
private struct Model {
    var steps: [[Double]] = []
    var changes: [[Double]] = []
    var theta = 1.0
    var gradient: [Double]
    var isHeld: [Bool]
    let count: Int

    init(count: Int, pairs: Int, held: Double, seed: UInt64) {
        var generator = SplitMix64(state: seed)
        func random() -> Double { Double.random(in: -1...1, using: &generator) }
        self.count = count
        let scales = (0..<count).map { _ in 2 + random() }
        for _ in 0..<pairs {
            let s = (0..<count).map { _ in random() }
            let sum = s.reduce(0, +)
            steps.append(s)
            changes.append(zip(s, scales).map { $0 * $1 + 0.3 * sum })
        }
        gradient = (0..<count).map { _ in random() }
        isHeld = (0..<count).map { _ in random() < 2 * held - 1 }
        let (s, y) = (steps[pairs - 1], changes[pairs - 1])
        theta = Double(dot(y.map { Wide($0) }, y) / dot(s.map { Wide($0) }, y))
    }

    /// B by its recursive definition.
    var matrix: [[Wide]] {
        var b = (0..<count).map { i in (0..<count).map { Wide($0 == i ? theta : 0) } }
        for (s, y) in zip(steps, changes) {
            let bs = b.map { dot($0, s) }
            let (sbs, sy) = (dot(bs, s), dot(y.map { Wide($0) }, s))
            for i in 0..<count {
                for j in 0..<count {
                    b[i][j] += Wide(y[i]) * Wide(y[j]) / sy - bs[i] * bs[j] / sbs
                }
            }
        }
        return b
    }

    /// The Gram matrices as the optimizer makes them: of a base face, then moved.
    func gram(base: [Bool]) -> FaceGram {
        var gram = FaceGram()
        for index in steps.indices {
            var dots = [Double](repeating: 0, count: 8 * (index + 1))
            for (other, isFace) in (0...index).flatMap({ [($0, false), ($0, true)] }) {
                var sums = [Wide](repeating: 0, count: 4)
                for i in 0..<count where base[i] == isFace {
                    let (s, y) = (Wide(steps[other][i]), Wide(changes[other][i]))
                    let (t, z) = (Wide(steps[index][i]), Wide(changes[index][i]))
                    for (at, product) in [s * t, y * t, s * z, y * z].enumerated() {
                        sums[at] += product
                    }
                }
                for at in 0..<4 {
                    dots[(isFace ? 4 * (index + 1) : 0) + 4 * other + at] = Double(sums[at])
                }
            }
            gram.append(index + 1, dots, freeStart: 0, heldStart: 4 * (index + 1))
        }
        for i in 0..<count where base[i] != isHeld[i] {
            gram.move(row(i), isHeld: isHeld[i])
        }
        return gram
    }

    /// A parameter's number in each s, then in each y.
    func row(_ index: Int) -> [Double] {
        steps.map { $0[index] } + changes.map { $0[index] }
    }

    func products(_ vectors: [[Double]], _ isHeld: [Bool]) -> [Double] {
        vectors.map { vector in
            var sum = Wide(0)
            for i in 0..<count where !isHeld[i] { sum += Wide(vector[i]) * Wide(gradient[i]) }
            return Double(sum)
        }
    }

    /// The minimum of the model over the free parameters, with moves of the others.
    func minimum(_ moves: [Double]) -> [Double] {
        let (b, free) = (matrix, (0..<count).filter { !isHeld[$0] })
        let right = free.map { i -> Wide in
            var sum = -Wide(gradient[i])
            for j in 0..<count where isHeld[j] { sum -= b[i][j] * Wide(moves[j]) }
            return sum
        }
        let solution = solved(free.map { i in free.map { b[i][$0] } }, right)
        var d = moves
        for (index, value) in zip(free, solution) { d[index] = Double(value) }
        return d
    }
}

private func dot(_ a: [Wide], _ b: [Double]) -> Wide {
    zip(a, b).reduce(0) { $0 + $1.0 * Wide($1.1) }
}

/// Gaussian elimination of a positive definite matrix.
private func solved(_ matrix: [[Wide]], _ right: [Wide]) -> [Wide] {
    var (a, b) = (matrix, right)
    for k in a.indices {
        for i in a.indices where i > k {
            let factor = a[i][k] / a[k][k]
            for j in k..<a.count { a[i][j] -= factor * a[k][j] }
            b[i] -= factor * b[k]
        }
    }
    for i in a.indices.reversed() {
        for j in a.indices where j > i { b[i] -= a[i][j] * b[j] }
        b[i] /= a[i][i]
    }
    return b
}

struct BoundedModelTests {
    private static func models() -> [Model] {
        var models: [Model] = []
        for (index, shape) in [(5, 1), (12, 3), (30, 8), (7, 12)].enumerated() {
            for held in [0, 0.3, 0.8] {
                models.append(
                    Model(
                        count: shape.0, pairs: shape.1, held: held, seed: UInt64(11 + index)))
            }
        }
        return models
    }

    @Test func `theta I - W M W' is the matrix of the L-BFGS updates`() {
        for model in Self.models() {
            let base = [Bool](repeating: false, count: model.count)
            var middle = MiddleMatrix()
            let isFactorized1 = middle.factorize(model.gram(base: base), theta: model.theta)
            #expect(isFactorized1)
            let (b, k) = (model.matrix, model.steps.count)
            for i in 0..<model.count {
                let row = model.row(i)
                let w = Array(row[k...]) + row[..<k].map { model.theta * $0 }
                var product: [Double] = []
                middle.multiply(w, into: &product)
                for j in 0..<model.count {
                    let other = model.row(j)
                    var value = i == j ? model.theta : 0
                    for at in 0..<k {
                        value -= other[k + at] * product[at]
                        value -= model.theta * other[at] * product[k + at]
                    }
                    #expect(abs(value - Double(b[i][j])) < 1e-8)
                }
            }
        }
    }

    @Test func `the subspace step is the minimum over the free parameters`() {
        for model in Self.models() {
            var generator = SplitMix64(state: 3)
            let base = (0..<model.count).map { _ in Bool.random(using: &generator) }
            let moves = (0..<model.count).map { i in
                model.isHeld[i] ? Double.random(in: -1...1, using: &generator) : 0
            }
            let (gram, k) = (model.gram(base: base), model.steps.count)
            var (middle, subspace) = (MiddleMatrix(), SubspaceMatrix())
            let isFactorized2 = middle.factorize(gram, theta: model.theta)
            #expect(isFactorized2)
            let isFactorized3 = subspace.factorize(gram, theta: model.theta)
            #expect(isFactorized3)
            var c = [Double](repeating: 0, count: 2 * k)
            for i in 0..<model.count {
                let row = model.row(i)
                for at in 0..<k {
                    c[at] += row[k + at] * moves[i]
                    c[k + at] += model.theta * row[at] * moves[i]
                }
            }
            var (q, scratch): ([Double], [Double]) = ([], [])
            middle.multiply(c, into: &q)
            var (steps, changes) = (
                [Double](repeating: 0, count: k), [Double](repeating: 0, count: k)
            )
            subspace.solve(
                gram, theta: model.theta, sg: model.products(model.steps, model.isHeld),
                yg: model.products(model.changes, model.isHeld), q: q, stepWeights: &steps,
                changeWeights: &changes, &scratch)
            let wanted = model.minimum(moves)
            for i in 0..<model.count where !model.isHeld[i] {
                var d = -model.gradient[i] / model.theta
                for at in 0..<k {
                    d += steps[at] * model.steps[at][i] + changes[at] * model.changes[at][i]
                }
                #expect(abs(d - wanted[i]) < 1e-8)
            }
        }
    }

    @Test func `the Cauchy point is the first minimum along the projected path`() {
        for model in Self.models() {
            let base = [Bool](repeating: false, count: model.count)
            var free = model
            free.isHeld = base
            var middle = MiddleMatrix()
            let isFactorized4 = middle.factorize(free.gram(base: base), theta: model.theta)
            #expect(isFactorized4)
            let (g, k, b) = (model.gradient, model.steps.count, model.matrix)
            // All parameters may move by 0.1 either way.
            let breakpoints = g.indices.map {
                BreakpointHeap.Breakpoint(stepLength: 0.1 / abs(g[$0]), index: $0)
            }
            var heap = BreakpointHeap(breakpoints)
            var path = CauchyPath()
            path.begin(
                middle, theta: model.theta, gradientSquared: g.reduce(0) { $0 + $1 * $1 },
                sg: model.products(model.steps, base), yg: model.products(model.changes, base))
            while let next = heap.nearest, next.stepLength < path.minimizer {
                heap.removeNearest()
                let row = free.row(next.index)
                path.stop(
                    at: next.stepLength, gradient: g[next.index],
                    move: g[next.index] > 0 ? -0.1 : 0.1,
                    row: Array(row[k...]) + row[..<k].map { model.theta * $0 }, middle)
            }
            // The model's slope along the path on both sides of that point.
            func slope(at t: Double, after: Bool) -> Double {
                let move = g.map { max(-0.1, min(0.1, -t * $0)) }
                var sum = Wide(0)
                for i in g.indices where after ? 0.1 > t * abs(g[i]) : 0.1 >= t * abs(g[i]) {
                    sum -= Wide(g[i]) * (Wide(g[i]) + dot(b[i], move))
                }
                return Double(sum)
            }
            let t = path.minimizer
            #expect(slope(at: t, after: false) <= 1e-8)
            #expect(slope(at: t, after: true) >= -1e-8)
            for share in stride(from: 0.05, to: 1, by: 0.05) {
                #expect(slope(at: share * t, after: true) < 1e-8)
            }
        }
    }

    @Test func `breakpoints come in their order, equal ones by index`() {
        var generator = SplitMix64(state: 5)
        for count in [0, 1, 2, 3, 10, 100] {
            let all = (0..<count).map { index in
                BreakpointHeap.Breakpoint(
                    stepLength: Double(Int.random(in: 0...20, using: &generator)), index: index)
            }
            var heap = BreakpointHeap(all.shuffled(using: &generator))
            let wanted = all.sorted { ($0.stepLength, $0.index) < ($1.stepLength, $1.index) }
            for next in wanted {
                #expect(heap.nearest == next)
                heap.removeNearest()
            }
            #expect(heap.nearest == nil)
        }
    }
}
