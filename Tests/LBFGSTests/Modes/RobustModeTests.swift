import Foundation
import LBFGS
import TestKit
import Testing

private let functions: [Options.LineSearchFunction] = [
    .hagerZhang, .moreThuente, .backtracking, .strongWolfe,
]

private func make(
    _ search: Options.LineSearchFunction? = nil, maxIterations: Int = 1000,
    maxEvaluations: Int = 1000, toleranceGradientRelative: Double = 1e-9, noise: Noise? = nil
) -> Options {
    Options(
        maxIterations: maxIterations, maxEvaluations: maxEvaluations, toleranceGradient: 0,
        lineSearch: search, mode: .robust, noise: noise,
        toleranceGradientRelative: toleranceGradientRelative)
}

/// The problem with its loss and gradient multiplied by a factor.
private func scaled(_ problem: Problem, by factor: Double) -> Problem {
    Problem(name: problem.name, start: problem.start) { x in
        let (loss, gradient) = problem.evaluate(x)
        return (factor * loss, gradient.map { factor * $0 })
    }
}

struct RobustModeTests {
    @Test(arguments: functions)
    func `every line search solves Rosenbrock in one step`(
        search: Options.LineSearchFunction
    ) throws {
        for count in [2, 10, 100] {
            let problem = Problem.rosenbrock(count)
            var optimizer = try Optimizer(problem.start, options: make(search))
            let result = optimizer.step { problem.evaluate(at: $0) }
            #expect(result.reason == .gradientTolerance && result.converged)
            #expect(optimizer.parameters.allSatisfy { abs($0 - 1) < 1e-5 })
        }
    }

    @Test(arguments: [1e-150, 1e-30, 1e-9, 1, 1e9, 1e30, 1e100])
    func `the scale of the loss doesn't matter`(factor: Double) throws {
        let plain = Problem.rosenbrock(4)
        let problem = scaled(plain, by: factor)
        var optimizer = try Optimizer(problem.start, options: make())
        let result = optimizer.step { problem.evaluate(at: $0) }
        #expect(result.reason == .gradientTolerance)
        #expect(optimizer.parameters.allSatisfy { abs($0 - 1) < 1e-5 })
        #expect(result.evaluations < 100)
    }

    @Test func `small curvature counts when it is above the noise`() throws {
        // y.s is far below torch's 1e-10 here, and exact.
        let problem = scaled(.quadratic(30, condition: 1e4), by: 1e-12)
        var optimizer = try Optimizer(problem.start, options: make())
        let result = optimizer.step { problem.evaluate(at: $0) }
        #expect(result.converged && result.evaluations < 200)
        let kept = optimizer.torchState?.oldDirs ?? []
        #expect(!kept.isEmpty)
    }

    @Test func `a pair joins when y.s > 4 eps ||s|| max(||g||, ||g+||), and not at less`() throws {
        // One accepted iteration from (0, 0) to (1, 0): s = (1, 0), ||g|| = sqrt(1 + h^2) in the
        // direction, and the second gradient decides y.s.
        func pairs(change: Double, noise: Noise) throws -> Int {
            var optimizer = try Optimizer(
                [0.0, 0], options: make(.backtracking, maxIterations: 2, noise: noise))
            _ = optimizer.beginStep()
            _ = optimizer.advance(loss: 0, gradient: [-1, 0])
            #expect(optimizer.trialPoint == [1, 0])
            _ = optimizer.advance(loss: -1, gradient: [-1 + change, 0])
            _ = optimizer.stop()
            return (optimizer.torchState?.oldDirs ?? []).count
        }
        for noise in [Noise.float64, .float32, .relative(1e-3)] {
            #expect(try pairs(change: 3.4 * noise.epsilon, noise: noise) == 0)
            #expect(try pairs(change: 4.6 * noise.epsilon, noise: noise) == 1)
        }
        #expect(try pairs(change: -0.5, noise: .float64) == 0)
    }

    @Test func `the first trial is lr long, and later ones don't depend on lr`() throws {
        for lr in [1e-3, 1, 10] {
            var options = make()
            options.lr = lr
            var optimizer = try Optimizer([3.0, 4], options: options)
            _ = optimizer.beginStep()
            #expect(
                optimizer.advance(loss: 12.5, gradient: [3, 4])
                    == .evaluate(Trial(stepLength: lr, iteration: 1)))
            let moved = zip(optimizer.trialPoint, [3.0, 4]).map { $0 - $1 }
            #expect(abs((moved[0] * moved[0] + moved[1] * moved[1]).squareRoot() - lr) < 1e-12)
        }
        let problem = Problem.rosenbrock()
        var options = make()
        options.lr = 1e-3
        var optimizer = try Optimizer(problem.start, options: options)
        var directive = optimizer.beginStep()
        var lastIteration = 0
        while case .evaluate(let trial) = directive {
            if trial.iteration > lastIteration, trial.iteration > 1 {
                #expect(trial.stepLength == 1)
            }
            lastIteration = trial.iteration
            let (loss, gradient) = problem.evaluate(at: optimizer.trialPoint)
            directive = optimizer.advance(loss: loss, gradient: gradient)
        }
    }

    @Test func `max_eval is never exceeded`() throws {
        let problem = Problem.rosenbrock(10)
        for budget in 1...40 {
            var optimizer = try Optimizer(
                problem.start, options: make(maxEvaluations: budget))
            let result = optimizer.step { problem.evaluate(at: $0) }
            #expect(result.evaluations == budget && result.reason == .maxEvaluations)
            #expect(result.loss == optimizer.best?.loss)
            #expect(problem.evaluate(optimizer.parameters).loss == result.loss)
        }
    }

    @Test func `a tolerance of the loss is relative to the loss`() throws {
        for factor in [1e-20, 1, 1e20] {
            let problem = scaled(.quadratic(20, condition: 1e6), by: factor)
            var options = make(toleranceGradientRelative: 0)
            options.toleranceLossRelative = 1e-3
            var optimizer = try Optimizer(problem.start, options: options)
            let result = optimizer.step { problem.evaluate(at: $0) }
            #expect(result.reason == .lossTolerance && result.converged)
        }
    }

    @Test func `a wrong gradient ends as a failed line search, with numbers`() throws {
        var optimizer = try Optimizer([1.0, 1], options: make())
        let result = optimizer.step { x in
            (x[0] * x[0] + x[1] * x[1], [-2 * x[0], -2 * x[1]])
        }
        #expect(result.reason == .lineSearchFailed && !result.converged)
        let failure = try #require(result.failure)
        #expect(failure.slope < 0 && (failure.lossChange ?? -1) > 0)
        #expect(failure.trials > 0 && failure.stepLengthLower <= failure.stepLengthUpper)
        #expect(optimizer.parameters == [1, 1], "nothing was better than the start")
        #expect(result.loss == 2)
        // With a correct gradient the next step makes progress from there.
        optimizer.options.reuseEvaluation = false
        let next = optimizer.step { x in (x[0] * x[0] + x[1] * x[1], [2 * x[0], 2 * x[1]]) }
        #expect(next.loss ?? 2 < 2)
    }

    @Test(arguments: [Problem.rosenbrock(2), .rosenbrock(10), .quadratic(20, condition: 1e4)])
    func `without tolerances a noisy run ends where it stands still`(problem: Problem) throws {
        func run(numerics: Int) throws -> StepResult {
            let options = Options(
                maxIterations: 20_000, maxEvaluations: 20_000, toleranceGradient: 0,
                mode: .robust, noise: .float32)
            var optimizer = try Optimizer(problem.start, options: options, numerics: numerics)
            return optimizer.step { point in
                // The rounding error of terms of size 1 in float32, which differs from point to
                // point.
                let (loss, gradient) = problem.evaluate(at: point)
                let noisy = zip(point, gradient).map { $1 + 1e-6 * sin(1e9 * $0 + $1) }
                return (Double(Float(1 + loss)), noisy)
            }
        }
        let result = try run(numerics: numericsVersion)
        #expect(result.reason == .withinNoise && !result.converged)
        #expect(result.evaluations < 1000 && (result.loss ?? 2) < 1 + 1e-5)
        // Version 1 goes on until its budget is spent, and so do replayed journals of it.
        #expect(try run(numerics: 1).reason == .maxEvaluations)
    }

    @Test func `nothing finite around the start ends the step there`() throws {
        let problem = Problem.rosenbrock()
        var optimizer = try Optimizer(problem.start, options: make())
        let result = optimizer.step { point in
            point == problem.start ? problem.evaluate(at: point) : (.nan, point)
        }
        #expect(result.reason == .nonFinite && result.evaluations < 100)
        #expect(optimizer.parameters == problem.start)
    }

    /// sum x^4 as an evaluation in float32 computes it: infinite above 1e38.
    private static func quartic(_ x: [Double], above: Double) -> (Double, [Double]) {
        let loss = x.reduce(0) { $0 + $1 * $1 * $1 * $1 }
        return (loss < 1e3 ? loss : above, x.map { 4 * $0 * $0 * $0 })
    }

    @Test(arguments: functions)
    func `from a start without a finite loss a step goes on by the gradients`(
        search: Options.LineSearchFunction
    ) throws {
        for start in [Double.infinity, .nan] {
            var optimizer = try Optimizer([100.0, -30, 7], options: make(search))
            var losses: [Double] = []
            var directive = optimizer.beginStep()
            while case .evaluate = directive {
                let resumed = try Optimizer(optimizer.snapshot)
                #expect(resumed.trialPoint == optimizer.trialPoint)
                optimizer = resumed
                let above = losses.isEmpty ? start : .infinity
                let (loss, gradient) = Self.quartic(optimizer.trialPoint, above: above)
                losses.append(loss)
                directive = optimizer.advance(loss: loss, gradient: gradient)
            }
            guard case .finished(let result) = directive else { return }
            #expect(result.reason == .gradientTolerance && result.evaluations < 200)
            #expect(losses.prefix(2).allSatisfy { !$0.isFinite } && result.loss ?? 1 < 1e-3)
            #expect(optimizer.best?.loss == result.loss)
        }
    }

    @Test(arguments: functions)
    func `a step with nothing but infinite losses ends without convergence`(
        search: Options.LineSearchFunction
    ) throws {
        let gradients: [([Double]) -> [Double]] = [
            { $0.map { 4 * $0 * $0 * $0 } }, { $0 }, { $0.map { _ in 1 } }, { $0.map { -$0 } },
            { $0.map { $0.rounded() } }, { $0.map { _ in 0 } }, { $0.map { sin(1e6 * $0) } },
        ]
        for gradient in gradients {
            var optimizer = try Optimizer([100.0, -30, 7], options: make(search))
            let result = optimizer.step { (.infinity, gradient($0)) }
            #expect(!result.converged && result.loss == .infinity)
            #expect(optimizer.best == nil)
        }
    }

    @Test func `once a loss is finite, infinite ones are infeasible, and NaN is never a point`()
        throws
    {
        var optimizer = try Optimizer([5.0], options: make())
        var lowest = Double.infinity
        let result = optimizer.step { x in
            let isOutside = abs(x[0] - 4.5) > 0.5
            let loss = isOutside ? (x[0] < 4 ? .infinity : .nan) : (x[0] - 4.2) * (x[0] - 4.2)
            if loss.isFinite { lowest = min(lowest, loss) }
            return (x[0] == 5 ? .infinity : loss, [2 * (x[0] - 4.2)])
        }
        #expect(result.reason == .gradientTolerance && result.loss == lowest)
        #expect(abs(optimizer.parameters[0] - 4.2) < 1e-6)
    }

    @Test func `an engine of version 2 ends at a start without a finite loss`() throws {
        for (loss, gradient, numerics) in [
            (Double.infinity, [1.0], 2), (.nan, [1], 2), (-.infinity, [1], numericsVersion),
            (.infinity, [.nan], numericsVersion),
        ] {
            var optimizer = try Optimizer([3.0], options: make(), numerics: numerics)
            let result = optimizer.step { _ in (loss, gradient) }
            #expect(result.reason == .nonFinite && result.evaluations == 1)
            #expect(optimizer.parameters == [3])
        }
    }

    @Test(arguments: functions)
    func `a barrier is never crossed and its minimum is found`(
        search: Options.LineSearchFunction
    ) throws {
        let problem = Problem.barrier(logarithm: { log($0) })
        for lr in [1e-3, 1, 1e3] {
            var options = make(search)
            options.lr = lr
            var optimizer = try Optimizer(problem.start, options: options)
            optimizer.step { problem.evaluate(at: $0) }
            #expect(abs(optimizer.parameters[0] - 0.01) < 1e-8)
        }
    }

    @Test func `a step that follows another doesn't evaluate its start again`() throws {
        let problem = Problem.rosenbrock(6)
        let chunk = make(maxIterations: 3)
        var once = try Optimizer(problem.start, options: make())
        var chunked = try Optimizer(problem.start, options: chunk)
        let whole = once.step { problem.evaluate(at: $0) }
        var evaluations = 0
        var result = chunked.step { problem.evaluate(at: $0) }
        evaluations += result.evaluations
        while !result.converged {
            let before = result.loss
            result = chunked.step { problem.evaluate(at: $0) }
            #expect(result.lossBefore == before)
            evaluations += result.evaluations
        }
        #expect(evaluations == whole.evaluations)
        #expect(chunked.parameters == once.parameters)
        #expect(chunked.step { problem.evaluate(at: $0) }.evaluations == 0, "it has converged")
    }

    @Test func `a start whose evaluation is out of date is evaluated again`() throws {
        let problem = Problem.rosenbrock(4)
        var optimizer = try Optimizer(problem.start, options: make(maxIterations: 3))
        optimizer.step { problem.evaluate(at: $0) }
        optimizer.replaceParameters([0.5, 0.5, 0.5, 0.5])
        #expect(optimizer.beginStep() == .evaluate(Trial(stepLength: 0, iteration: 0)))
        _ = optimizer.stop()
        optimizer.options.reuseEvaluation = false
        optimizer.step { problem.evaluate(at: $0) }
        #expect(optimizer.beginStep() == .evaluate(Trial(stepLength: 0, iteration: 0)))
    }

    @Test func `torch mode reuses too when it is told to, but not a point it hasn't evaluated`()
        throws
    {
        let problem = Problem.rosenbrock(4)
        var options = Options(maxIterations: 5, lineSearch: .strongWolfe, reuseEvaluation: true)
        var optimizer = try Optimizer(problem.start, options: options)
        let first = optimizer.step { problem.evaluate(at: $0) }
        guard case .evaluate(let trial) = optimizer.beginStep() else { return }
        #expect(trial.iteration == 1 && optimizer.trialPoint != optimizer.parameters)
        #expect(optimizer.stop().lossBefore == first.loss)
        options = Options(lr: 1e-3, maxIterations: 5, reuseEvaluation: true)
        optimizer = try Optimizer(problem.start, options: options)
        optimizer.step { problem.evaluate(at: $0) }
        #expect(optimizer.beginStep() == .evaluate(Trial(stepLength: 0, iteration: 0)))
    }

    @Test(arguments: functions)
    func `stopping at any evaluation leaves the best point`(
        search: Options.LineSearchFunction
    ) throws {
        let problem = Problem.rosenbrock(4)
        for stopAt in 1..<60 {
            var optimizer = try Optimizer(problem.start, options: make(search))
            var best = (loss: Double.infinity, point: problem.start, number: 0)
            var directive = optimizer.beginStep()
            for number in 1...stopAt {
                guard case .evaluate = directive else { return }
                let (loss, gradient) = problem.evaluate(at: optimizer.trialPoint)
                if loss < best.loss { best = (loss, optimizer.trialPoint, number) }
                directive = optimizer.advance(loss: loss, gradient: gradient)
            }
            guard case .evaluate = directive else { return }
            let result = optimizer.stop()
            #expect(optimizer.parameters == best.point && result.loss == best.loss)
            #expect(optimizer.best == BestEvaluation(loss: best.loss, evaluation: best.number))
            // The next step reuses the loss and the gradient there.
            guard case .evaluate(let trial) = optimizer.beginStep() else { continue }
            #expect(trial.iteration == 1)
        }
    }

    @Test(arguments: functions, 0..<15)
    func `whatever the answers are, a step ends within its budget, finite, at the best`(
        search: Options.LineSearchFunction, seed: UInt64
    ) throws {
        var generator = SplitMix64(state: seed)
        let values: [Double] = [
            0, -0.0, 1, -1, .nan, .infinity, -.infinity, 1e308, -1e308, 1e-300,
        ]
        func answer() -> Double {
            Int.random(in: 0..<4, using: &generator) == 0
                ? values[Int.random(in: values.indices, using: &generator)]
                : Double.random(in: -1...1, using: &generator)
        }
        for _ in 0..<30 {
            let budget = Int.random(in: 1...80, using: &generator)
            var optimizer = try Optimizer(
                [1.0, -2, 3], options: make(search, maxEvaluations: budget))
            var lowest = Double.infinity
            let result = optimizer.step { _ in
                let (loss, gradient) = (answer(), [answer(), answer(), answer()])
                if loss.isFinite, gradient.allSatisfy({ $0.isFinite }) {
                    lowest = min(lowest, loss)
                }
                return (loss, gradient)
            }
            #expect(result.evaluations <= budget, "seed \(seed)")
            #expect(optimizer.parameters.allSatisfy { $0.isFinite })
            if lowest < .infinity {
                #expect(optimizer.best?.loss == lowest, "seed \(seed)")
                if !result.converged { #expect(result.loss == lowest, "seed \(seed)") }
            }
            let state = optimizer.torchState
            for vector in (state?.oldDirs ?? []) + (state?.oldStps ?? []) {
                #expect(vector.allSatisfy { $0.isFinite })
            }
        }
    }

    @Test(arguments: functions)
    func `a run resumed from a stored snapshot before every evaluation has the same bits`(
        search: Options.LineSearchFunction
    ) throws {
        func points<Scalar: EngineScalar>(
            _ problem: Problem, _: Scalar.Type, resuming: Bool
        ) throws -> [[Scalar]] {
            var optimizer = try Optimizer(
                problem.start.map { Scalar($0) },
                options: make(search, maxIterations: 9, maxEvaluations: 25))
            var points: [[Scalar]] = []
            for _ in 0..<4 {
                var directive = optimizer.beginStep()
                while case .evaluate = directive {
                    if resuming { optimizer = try stored(optimizer) }
                    points.append(optimizer.trialPoint)
                    let (loss, gradient) = problem.evaluate(at: optimizer.trialPoint)
                    directive =
                        points.count % 7 == 5
                        ? optimizer.advanceInfeasible()
                        : optimizer.advance(loss: loss, gradient: gradient)
                }
                if resuming { optimizer = try stored(optimizer) }
                points.append(optimizer.parameters)
            }
            return points
        }
        for problem in [Problem.rosenbrock(6), .quadratic(33, condition: 1e5)] {
            #expect(
                try points(problem, Double.self, resuming: false)
                    == points(problem, Double.self, resuming: true))
            #expect(
                try points(problem, Float.self, resuming: false)
                    == points(problem, Float.self, resuming: true))
        }
    }

    /// The optimizer resumed from its snapshot, whose scalars are encoded and decoded.
    private func stored<Scalar: EngineScalar>(
        _ optimizer: Optimizer<Scalar>
    ) throws -> Optimizer<Scalar> {
        var snapshot = optimizer.snapshot
        let bytes = try PropertyListEncoder().encode(snapshot.scalars)
        snapshot.scalars = try PropertyListDecoder().decode(
            OptimizerSnapshot<Scalar>.Scalars.self, from: bytes)
        let resumed = try Optimizer(snapshot)
        #expect(resumed.trialPoint == optimizer.trialPoint)
        return resumed
    }

    @Test func `a float32 evaluation is solved to its precision`() throws {
        let problem = Problem.rosenbrock(10)
        var optimizer = try Optimizer(
            problem.start, options: make(toleranceGradientRelative: 1e-4, noise: .float32))
        let result = optimizer.step { x in
            let (loss, gradient) = problem.evaluate(x)
            return (Double(Float(loss)), gradient.map { Double(Float($0)) })
        }
        #expect(result.converged)
    }
}
