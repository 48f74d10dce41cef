import LBFGS
import Parallel
import TestKit
import Testing

/// A problem with bounds and an L1 term, for one precision.
struct BoxProblem<Scalar: EngineScalar>: Sendable {
    var problem: Problem
    var lower = ParameterValues<Double>.none
    var upper = ParameterValues<Double>.none
    var l1 = ParameterValues<Double>.none
    var options = Options(maxIterations: 200, mode: .robust)

    func makeOptimizer() throws -> Optimizer<Scalar> {
        let start = problem.start.map { Scalar($0) }
        var optimizer = try Optimizer(start, options: options)
        try optimizer.setBounds(Bounds(lower: lower, upper: upper, count: start.count))
        try optimizer.setL1(L1Weights(l1, count: start.count))
        return optimizer
    }

    /// Runs a step and calls `body` with the optimizer at each evaluation.
    func run(
        _ optimizer: inout Optimizer<Scalar>, _ body: (Optimizer<Scalar>) throws -> Void = { _ in }
    ) throws -> (result: StepResult, points: [[Scalar]]) {
        var points: [[Scalar]] = []
        var directive = optimizer.beginStep()
        while true {
            switch directive {
            case .finished(let result):
                return (result, points)
            case .evaluate:
                try body(optimizer)
                points.append(optimizer.trialPoint)
                let (loss, gradient) = problem.evaluate(at: optimizer.trialPoint)
                directive = optimizer.advance(loss: loss, gradient: gradient)
            }
        }
    }
}

/// A convex quadratic with a dense matrix, whose minimum in a box has some parameters at bounds.
func coupledQuadratic(_ count: Int, seed: UInt64) -> Problem {
    var generator = SplitMix64(state: seed)
    let target = (0..<count).map { _ in Double.random(in: -2...2, using: &generator) }
    let scale = (0..<count).map { _ in Double.random(in: 0.5...20, using: &generator) }
    let start = (0..<count).map { _ in Double.random(in: -1...1, using: &generator) }
    return Problem(name: "coupled-\(count)", start: start) { x in
        // 1/2 sum s_i (x_i - t_i)^2 + 1/2 sum (x_i - x_{i+1})^2
        var loss = 0.0
        var gradient = [Double](repeating: 0, count: count)
        for i in 0..<count {
            let rest = x[i] - target[i]
            loss += scale[i] * rest * rest / 2
            gradient[i] += scale[i] * rest
            guard i + 1 < count else { continue }
            let step = x[i] - x[i + 1]
            loss += step * step / 2
            gradient[i] += step
            gradient[i + 1] -= step
        }
        return (loss, gradient)
    }
}

struct BoundedOptimizerTests {
    static let problems: [BoxProblem<Double>] = [
        BoxProblem(
            problem: .rosenbrock(10), lower: .uniform(-1.5), upper: .uniform(0.7)),
        BoxProblem(problem: .rosenbrock(50), lower: .each((0..<50).map { 0.1 * Double($0 % 11) })),
        BoxProblem(
            problem: coupledQuadratic(40, seed: 1), lower: .uniform(-0.3), upper: .uniform(0.3)),
        BoxProblem(problem: coupledQuadratic(9, seed: 2), upper: .uniform(0.1), l1: .uniform(3)),
        BoxProblem(problem: coupledQuadratic(60, seed: 3), l1: .uniform(6)),
    ]

    @Test(arguments: problems.indices)
    func `a run ends at a minimum within the bounds`(index: Int) throws {
        let problem = Self.problems[index]
        var optimizer = try problem.makeOptimizer()
        let (result, points) = try problem.run(&optimizer)
        #expect(result.reason == .gradientTolerance)
        let (bounds, l1) = (optimizer.bounds, optimizer.l1)
        for point in points { #expect(bounds.projected(point).moved == 0) }
        let gradient = problem.problem.evaluate(optimizer.parameters).gradient
        var active = 0
        for (i, x) in optimizer.parameters.enumerated() {
            let (g, w) = (gradient[i], l1.weight(at: i))
            let (least, most) = (bounds.lower(at: i), bounds.upper(at: i))
            if x == least || x == most { active += 1 }
            // The subdifferential of the loss, and the sign that a bound lets it have.
            let (below, above) = x > 0 ? (g + w, g + w) : x < 0 ? (g - w, g - w) : (g - w, g + w)
            #expect(below <= 1e-6 || x == least, "index \(i)")
            #expect(above >= -1e-6 || x == most, "index \(i)")
            #expect(x.isNormal || x.bitPattern == 0, "index \(i) is \(x)")
        }
        #expect(result.activeBounds == active)
        let set = optimizer.activeSet()
        #expect(set.count == active)
        for bound in set { #expect(bound.multiplier == gradient[bound.index]) }
    }

    @Test(arguments: problems.indices)
    func `a snapshot at any evaluation resumes the same bits`(index: Int) throws {
        var problem = Self.problems[index]
        problem.options.historySize = 6
        var optimizer = try problem.makeOptimizer()
        var resumed: [[[Double]]] = []
        var taken = 0
        let (_, points) = try problem.run(&optimizer) { state in
            taken += 1
            guard taken % 3 == 1 else { return }
            var copy = try Optimizer(state.snapshot)
            #expect(copy == state)
            var rest: [[Double]] = []
            repeat {
                rest.append(copy.trialPoint)
                let (loss, gradient) = problem.problem.evaluate(at: copy.trialPoint)
                copy = try Optimizer(copy.snapshot)
                _ = copy.advance(loss: loss, gradient: gradient)
            } while copy.isStepping && rest.count < 500
            resumed.append(rest)
        }
        for (index, rest) in resumed.enumerated() {
            #expect(rest == Array(points[(3 * index)...]))
        }
    }

    @Test func `long vectors have the bits of one thread on two`() throws {
        func points<Scalar: EngineScalar>(
            _: Scalar.Type, _ width: Int
        ) throws -> [[Scalar]] {
            let problem = BoxProblem<Scalar>(
                problem: .rosenbrock(20_001), lower: .uniform(-0.5), upper: .uniform(0.6),
                options: Options(maxIterations: 12, historySize: 4, mode: .robust))
            var optimizer = try problem.makeOptimizer()
            optimizer.executor = BlockExecutor(width: width) { count, body in
                forEachIndex(count, width: width, body)
            }
            return try problem.run(&optimizer).points
        }
        #expect(try points(Double.self, 1) == points(Double.self, 2))
        #expect(try points(Float.self, 1) == points(Float.self, 2))
    }

    @Test func `infinite bounds change no bit`() throws {
        let options = Options(maxIterations: 30, mode: .robust)
        let plain = BoxProblem<Double>(problem: .rosenbrock(20), options: options)
        var infinite = plain
        infinite.lower = .uniform(-.infinity)
        var (one, other) = (try plain.makeOptimizer(), try infinite.makeOptimizer())
        let points = (try plain.run(&one).points, try infinite.run(&other).points)
        #expect(points.0 == points.1)
        #expect(one == other && one.numerics == numericsVersion)
    }

    @Test func `bounds far away lead to the same minimum`() throws {
        let problem = BoxProblem<Double>(
            problem: .rosenbrock(6), lower: .uniform(-1e9), upper: .uniform(1e9))
        var optimizer = try problem.makeOptimizer()
        let (result, _) = try problem.run(&optimizer)
        #expect(result.converged && result.activeBounds == 0)
        for value in optimizer.parameters { #expect(abs(value - 1) < 1e-6) }
    }

    @Test func `a parameter at its bound has the bound's bits in float32`() throws {
        let problem = BoxProblem<Float>(
            problem: coupledQuadratic(30, seed: 5), lower: .uniform(-0.1), upper: .uniform(0.1),
            options: Options(maxIterations: 60, toleranceGradient: 1e-4, mode: .robust))
        var optimizer = try problem.makeOptimizer()
        let (result, points) = try problem.run(&optimizer)
        #expect(result.converged)
        let bounds = optimizer.bounds
        var atBounds = 0
        for point in points {
            for (index, value) in point.enumerated() {
                #expect(Double(value) >= -0.1 && Double(value) <= 0.1)
                if bounds.lower(at: index).bitPattern == value.bitPattern { atBounds += 1 }
            }
        }
        #expect(atBounds > 0)
    }

    @Test func `fixed parameters leave the run as it is without them`() throws {
        let count = 12
        let inner = coupledQuadratic(count, seed: 9)
        // Every other parameter is fixed, and pulls hard at its bound.
        let outer = Problem(
            name: "fixed", start: inner.start.flatMap { [$0, 7] }
        ) { x in
            let own = stride(from: 0, to: 2 * count, by: 2).map { x[$0] }
            let (loss, gradient) = inner.evaluate(own)
            return (loss, gradient.flatMap { [$0, 1e6 * (1 + $0)] })
        }
        let options = Options(maxIterations: 200, mode: .robust)
        let free = BoxProblem<Double>(
            problem: inner, lower: .uniform(-0.4), upper: .uniform(0.4), options: options)
        let values = (0..<2 * count).map { $0.isMultiple(of: 2) ? nil : 7.0 }
        let fixed = BoxProblem<Double>(
            problem: outer, lower: .each(values.map { $0 ?? -0.4 }),
            upper: .each(values.map { $0 ?? 0.4 }), options: options)
        var (one, other) = (try free.makeOptimizer(), try fixed.makeOptimizer())
        let (first, second) = (try free.run(&one), try fixed.run(&other))
        #expect(first.result.evaluations == second.result.evaluations)
        for index in 0..<count {
            #expect(abs(one.parameters[index] - other.parameters[2 * index]) < 1e-9)
            #expect(other.parameters[2 * index + 1] == 7)
        }
        #expect(other.activeSet().count { $0.side == .fixed } == count)
    }

    @Test func `new bounds project the parameters and keep the pairs`() throws {
        let problem = BoxProblem<Double>(
            problem: coupledQuadratic(20, seed: 4), lower: .uniform(-1), upper: .uniform(1),
            options: Options(maxIterations: 5, mode: .robust))
        var optimizer = try problem.makeOptimizer()
        _ = try problem.run(&optimizer)
        let (pairs, before) = (optimizer.pairNumbers, optimizer.parameters)
        #expect(!pairs.isEmpty)
        let wide = try Bounds<Double>(lower: .uniform(-3), upper: .uniform(3), count: 20)
        let movedByWide = try optimizer.setBounds(wide)
        #expect(movedByWide == 0 && optimizer.loss != nil && optimizer.parameters == before)
        let narrow = try Bounds<Double>(lower: .uniform(-0.01), upper: .uniform(0.01), count: 20)
        let movedByNarrow = try optimizer.setBounds(narrow)
        #expect(movedByNarrow > 0)
        #expect(optimizer.pairNumbers == pairs && optimizer.loss == nil)
        #expect(narrow.projected(optimizer.parameters).moved == 0)
        (optimizer.options.maxIterations, optimizer.options.maxEvaluations) = (100, 200)
        let bounded = try problem.run(&optimizer).result
        #expect(bounded.converged)
        try optimizer.setBounds(.none)
        let free = try problem.run(&optimizer).result
        #expect(free.converged)
        #expect(try Optimizer(optimizer.snapshot) == optimizer)
    }

    @Test func `parameters join with bounds, and frozen ones stay`() throws {
        let problem = BoxProblem<Double>(
            problem: coupledQuadratic(10, seed: 6), lower: .uniform(-0.2), upper: .uniform(0.2),
            options: Options(maxIterations: 4, mode: .robust))
        var optimizer = try problem.makeOptimizer()
        _ = try problem.run(&optimizer)
        let bounds = try Bounds<Double>(lower: .uniform(0.5), upper: .none, count: 3)
        optimizer.append([0, 1, 2], bounds: bounds)
        #expect(optimizer.parameters.suffix(3) == [0.5, 1, 2])
        #expect(optimizer.bounds.upper(at: 0) == 0.2 && optimizer.bounds.lower(at: 11) == 0.5)
        optimizer.freeze([0..<2])
        let frozen = Array(optimizer.parameters.prefix(2))
        let wider = BoxProblem<Double>(problem: coupledQuadratic(13, seed: 6))
        optimizer.options.maxIterations = 200
        let (result, points) = try wider.run(&optimizer)
        #expect(result.converged)
        for point in points { #expect(Array(point.prefix(2)) == frozen) }
        #expect(try Optimizer(optimizer.snapshot) == optimizer)
    }

    @Test func `a concave loss goes to a vertex in a few evaluations`() throws {
        let concave = Problem(name: "concave", start: (0..<30).map { 0.01 * Double($0 - 14) }) {
            x in (-x.reduce(0) { $0 + $1 * $1 }, x.map { -2 * $0 })
        }
        let problem = BoxProblem<Double>(
            problem: concave, lower: .uniform(-1), upper: .uniform(1))
        var optimizer = try problem.makeOptimizer()
        let (result, points) = try problem.run(&optimizer)
        #expect(result.converged && points.count <= 12)
        #expect(result.activeBounds == 29)
    }

    @Test func `a far corner without a loss is left again`() throws {
        let cliff = Problem(name: "cliff", start: [1, 1]) { x in
            let total = x[0] + x[1]
            guard total < 50 else { return (.nan, [.nan, .nan]) }
            return ((total - 30) * (total - 30) - total, x.map { _ in 2 * (total - 30) - 1 })
        }
        let problem = BoxProblem<Double>(
            problem: cliff, lower: .uniform(0), upper: .uniform(1000))
        var optimizer = try problem.makeOptimizer()
        let (result, _) = try problem.run(&optimizer)
        #expect(result.converged)
        #expect(abs(optimizer.parameters[0] + optimizer.parameters[1] - 30.5) < 1e-6)
    }

    @Test func `stop returns to the best point within the bounds`() throws {
        let problem = BoxProblem<Double>(
            problem: .rosenbrock(4), lower: .uniform(-1), upper: .uniform(0.5))
        for stopped in 1...12 {
            var optimizer = try problem.makeOptimizer()
            var lowest = Double.infinity
            _ = optimizer.beginStep()
            for _ in 1...stopped where optimizer.isStepping {
                let (loss, gradient) = problem.problem.evaluate(optimizer.trialPoint)
                lowest = min(lowest, loss)
                _ = optimizer.advance(loss: loss, gradient: gradient)
            }
            guard optimizer.isStepping else { continue }
            let result = optimizer.stop()
            #expect(result.loss == lowest)
            #expect(problem.problem.evaluate(optimizer.parameters).loss == lowest)
            let rest = try problem.run(&optimizer).result
            #expect(rest.converged)
        }
    }
}
