import LBFGS
import TestKit
import Testing

/// The textbook's two-loop recursion (Nocedal & Wright 2006, algorithm 7.4) in Float80 where the
/// machine has it, as the oracle of the direction in coefficients.
#if arch(x86_64)
    private typealias Precise = Float80
#else
    private typealias Precise = Double
#endif

private func twoLoopDirection(
    gradient: [Double], pairs: [(s: [Double], y: [Double])]
) -> [Double] {
    func dot(_ a: [Precise], _ b: [Precise]) -> Precise {
        zip(a, b).reduce(0) { $0 + $1.0 * $1.1 }
    }
    let pairs = pairs.map { (s: $0.s.map(Precise.init), y: $0.y.map(Precise.init)) }
    var q = gradient.map { -Precise($0) }
    var alphas: [Precise] = []
    for (s, y) in pairs.reversed() {
        let alpha = dot(s, q) / dot(s, y)
        alphas.append(alpha)
        q = zip(q, y).map { $0 - alpha * $1 }
    }
    if let (s, y) = pairs.last { q = q.map { $0 * (dot(s, y) / dot(y, y)) } }
    for ((s, y), alpha) in zip(pairs, alphas.reversed()) {
        let beta = dot(y, q) / dot(s, y)
        q = zip(q, s).map { $0 + (alpha - beta) * $1 }
    }
    return q.map { Double($0) }
}

private func relativeError(_ got: [Double], _ wanted: [Double]) -> Double {
    let scale = wanted.map(abs).max() ?? 0
    return (zip(got, wanted).map { abs($0 - $1) }.max() ?? 0) / scale
}

/// Pairs as a quadratic with the given eigenvalues makes them.
private func makePairs(
    count: Int, dimension: Int, condition: Double, seed: UInt64
) -> [(s: [Double], y: [Double])] {
    var generator = SplitMix64(state: seed)
    let problem = Problem.quadratic(dimension, condition: condition)
    return (0..<count).map { _ in
        let s = (0..<dimension).map { _ in Double.random(in: -1...1, using: &generator) }
        return (s, problem.evaluate(s).gradient)
    }
}

struct CurvatureHistoryTests {
    @Test(arguments: [1, 2, 3, 7, 8, 9, 15, 16, 17, 100, 511, 512, 513, 4095, 4096, 4097, 9000])
    func `the direction in coefficients is that of the two-loop recursion`(dimension: Int) {
        for count in [0, 1, 2, 5, min(20, dimension)] {
            let pairs = makePairs(
                count: count, dimension: dimension, condition: 100, seed: UInt64(dimension))
            var history = CurvatureHistory<Double>()
            for (s, y) in pairs { history.offer(s: s, y: y, sizeMax: 100) }
            var generator = SplitMix64(state: 99)
            let gradient = (0..<dimension).map { _ in Double.random(in: -1...1, using: &generator) }
            let direction = history.direction(gradient: gradient).direction
            let wanted = twoLoopDirection(gradient: gradient, pairs: pairs)
            #expect(relativeError(direction, wanted) < 1e-11, "\(count) pairs")
        }
    }

    @Test func `float32 vectors lose only the rounding of what is stored`() {
        let pairs = makePairs(count: 10, dimension: 1000, condition: 100, seed: 5).map {
            (s: $0.s.map { Float($0) }, y: $0.y.map { Float($0) })
        }
        var history = CurvatureHistory<Float>()
        for (s, y) in pairs { history.offer(s: s, y: y, sizeMax: 100) }
        let gradient = (0..<1000).map { Float($0 % 13) - 6 }
        let direction = history.direction(gradient: gradient).direction.map(Double.init)
        let wanted = twoLoopDirection(
            gradient: gradient.map(Double.init),
            pairs: pairs.map { ($0.s.map(Double.init), $0.y.map(Double.init)) })
        #expect(relativeError(direction, wanted) < 1e-6)
    }

    @Test func `the oldest pairs leave when the history is full`() {
        let pairs = makePairs(count: 9, dimension: 30, condition: 10, seed: 1)
        var history = CurvatureHistory<Double>()
        for (s, y) in pairs { history.offer(s: s, y: y, sizeMax: 4) }
        #expect(history.pairs.map(\.number) == [6, 7, 8, 9])
        let gradient = pairs[0].y
        let wanted = twoLoopDirection(gradient: gradient, pairs: Array(pairs.suffix(4)))
        #expect(relativeError(history.direction(gradient: gradient).direction, wanted) < 1e-12)
    }

    @Test func `pairs without enough curvature, or that overflow, are left out`() {
        var history = CurvatureHistory<Double>()
        history.offer(s: [1e-6, 0], y: [1e-4, 0], sizeMax: 10)
        history.offer(s: [1, 0], y: [-1, 0], sizeMax: 10)
        history.offer(s: [1, 0], y: [.nan, 0], sizeMax: 10)
        history.offer(s: [1e200, 0], y: [1e200, 0], sizeMax: 10)
        #expect(history.pairs.isEmpty)
        #expect(history.initialScale == 1)
        history.offer(s: [1e-5, 0], y: [1.1e-5, 0], sizeMax: 10)
        #expect(history.pairs.count == 1)
    }
}
