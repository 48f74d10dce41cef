import LBFGS
import TestKit
import Testing

/// bfloat16 by the book: to nearest, ties to even, by comparing with both neighbours.
private func roundedToBFloat16(_ value: Double) -> Double {
    guard value.isFinite, value != 0 else { return value }
    let quantum = max(value.exponent - 7, -133)
    let unit = Double(sign: .plus, exponent: quantum, significand: 1)
    let rounded = (value / unit).rounded(.toNearestOrEven) * unit
    return abs(rounded) >= 0x1p128 ? .infinity * (value < 0 ? -1 : 1) : rounded
}

struct HistoryDTypeTests {
    @Test func `bfloat16 rounds to nearest, ties to even, at every magnitude`() {
        var values: [Double] = [
            1, 1 + 0x1p-8, 1 + 0x1p-8 + 0x1p-52, 1 + 0x1p-8 - 0x1p-52, 1 + 3 * 0x1p-8,
            0x1.fep127, 0x1.fefffffp127, 0x1.ffp127, 1e39, 0x1p-126, 0x1p-133, 0x1p-134,
            0x1.8p-133, 0x1.8000001p-134, 1e-300, 0,
        ]
        var generator = SplitMix64(state: 3)
        for _ in 0..<4000 {
            let scale = Double(
                sign: .plus, exponent: .random(in: -140...130, using: &generator),
                significand: 1)
            values.append(Double.random(in: 1...2, using: &generator) * scale)
            // Just beside a tie, where rounding twice would go wrong.
            let tie = 1 + Double(Int.random(in: 0..<128, using: &generator)) * 0x1p-7 + 0x1p-8
            values.append(tie * 0x1p-3)
            values.append((tie + 0x1p-40) * 0x1p-3)
            values.append((tie - 0x1p-40) * 0x1p-3)
        }
        for value in values + values.map({ -$0 }) {
            let pair = CurvaturePair<Double>(
                number: 1, dtype: .bfloat16, s: [value], y: [1], sy: [1], yy: [1])
            #expect(pair.s == [roundedToBFloat16(value)], "\(value)")
        }
    }

    @Test func `a pair that a step made is rounded like one that was given`() throws {
        var generator = SplitMix64(state: 5)
        for dimension in [1, 8, 23, 40] {
            let first = (0..<dimension).map { index in
                // The first one sees to a curvature that a history wants.
                let exponent = index == 0 ? 4 : Int.random(in: -150...100, using: &generator)
                let scale = Double(
                    sign: index % 3 == 0 ? .minus : .plus, exponent: exponent, significand: 1)
                return Double.random(in: 1...2, using: &generator) * scale
            }
            let second = first.map { $0 * Double.random(in: 0...0.5, using: &generator) }
            let options = Options(
                toleranceGradient: 0, toleranceChange: 0, historyDType: .bfloat16)
            var optimizer = try Optimizer(
                [Double](repeating: 0, count: dimension), options: options)
            _ = optimizer.beginStep()
            _ = optimizer.advance(loss: 2, gradient: first)
            _ = optimizer.advance(loss: 1, gradient: second)
            let pair = try #require(optimizer.snapshot.pairs.last)
            #expect(pair.y == zip(second, first).map { roundedToBFloat16($0 - $1) })
        }
    }

    @Test(arguments: HistoryDType.allCases)
    func `a direction is that of the rounded pairs`(dtype: HistoryDType) {
        for dimension in [1, 7, 8, 9, 17, 600, 4100] {
            var (stored, plain) = (CurvatureHistory<Double>(), CurvatureHistory<Double>())
            var generator = SplitMix64(state: UInt64(dimension))
            let problem = Problem.quadratic(dimension, condition: 10)
            for _ in 0..<6 {
                let s = (0..<dimension).map { _ in Double.random(in: -1...1, using: &generator) }
                stored.offer(s: s, y: problem.evaluate(s).gradient, sizeMax: 5, dtype: dtype)
                // The same numbers, already rounded, at full width.
                if let pair = stored.pairs.last { plain.offer(s: pair.s, y: pair.y, sizeMax: 5) }
            }
            #expect(stored.pairs.allSatisfy { $0.dtype == dtype })
            let gradient = problem.evaluate(problem.start).gradient
            #expect(stored.direction(gradient: gradient) == plain.direction(gradient: gradient))
        }
    }

    @Test(arguments: HistoryDType.allCases, [Options.LineSearchFunction?.none, .strongWolfe])
    func `a run resumed before every evaluation has the same bits, whatever pairs are kept in`(
        dtype: HistoryDType, search: Options.LineSearchFunction?
    ) throws {
        let problem = Problem.rosenbrock(6)
        let options = Options(
            lr: search == nil ? 0.02 : 1, maxIterations: 15, historySize: 4, historyDType: dtype,
            lineSearch: search)
        var whole = try Optimizer(problem.start.map { Float($0) }, options: options)
        var parts = whole
        for _ in 0..<3 {
            whole.step { problem.evaluate(at: $0) }
            _ = parts.beginStep()
            while parts.isStepping {
                parts = try Optimizer(parts.snapshot)
                let (loss, gradient) = problem.evaluate(at: parts.trialPoint)
                _ = parts.advance(loss: loss, gradient: gradient)
            }
            #expect(parts == whole)
        }
        #expect(whole.snapshot.pairs.allSatisfy { $0.dtype == dtype })
    }

    @Test(arguments: [HistoryDType.float32, .bfloat16])
    func `narrow pairs solve what wide ones do`(dtype: HistoryDType) throws {
        for problem in [Problem.rosenbrock(10), .quadratic(200, condition: 100)] {
            let options = Options(
                maxIterations: 400, toleranceGradient: 1e-5, toleranceChange: 0,
                historySize: 10, historyDType: dtype, lineSearch: .strongWolfe)
            var optimizer = try Optimizer(problem.start, options: options)
            #expect(optimizer.step { problem.evaluate(at: $0) }.reason == .gradientTolerance)
        }
    }

    @Test func `another precision is for pairs made from the next step on`() throws {
        let problem = Problem.rosenbrock(10)
        var optimizer = try Optimizer(
            problem.start, options: Options(maxIterations: 4, lineSearch: .strongWolfe))
        optimizer.step { problem.evaluate(at: $0) }
        let before = optimizer.snapshot.pairs
        optimizer.options.historyDType = .bfloat16
        optimizer.step { problem.evaluate(at: $0) }
        let pairs = optimizer.snapshot.pairs
        #expect(pairs.starts(with: before))
        let newer = pairs.dropFirst(before.count)
        #expect(!newer.isEmpty && newer.allSatisfy { $0.dtype == .bfloat16 })
        let state = try #require(optimizer.torchState)
        #expect(state.oldStps?.map(\.count) == pairs.map { _ in 10 })
    }

    @Test func `a value beyond the range of what is stored keeps the pair out`() {
        var history = CurvatureHistory<Double>()
        history.offer(s: [1e39, 1], y: [1, 1], sizeMax: 5, dtype: .float32)
        history.offer(s: [1e39, 1], y: [1, 1], sizeMax: 5, dtype: .bfloat16)
        #expect(history.pairs.isEmpty)
        history.offer(s: [1e39, 1], y: [1, 1], sizeMax: 5, dtype: .float64)
        #expect(history.pairs.count == 1)
    }
}
