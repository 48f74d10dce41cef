import LBFGS
import TestKit
import Testing

#if canImport(Glibc)
    import Glibc
#endif

private func make(
    _ problem: Problem, _ options: Options = Options(lineSearch: .strongWolfe)
) throws -> Optimizer<Double> {
    try Optimizer(problem.start, options: options)
}

struct OptimizerTests {
    @Test func `Rosenbrock is solved in a few steps`() throws {
        let problem = Problem.rosenbrock()
        var optimizer = try make(problem)
        var result = optimizer.step { problem.evaluate(at: $0) }
        #expect(result.lossBefore == problem.evaluate(problem.start).loss)
        for _ in 0..<20 { result = optimizer.step { problem.evaluate(at: $0) } }
        #expect((result.loss ?? 1) < 1e-8)
        #expect(optimizer.parameters.allSatisfy { abs($0 - 1) < 1e-4 })
    }

    @Test func `a step reads as a transcript of events`() throws {
        var optimizer = try Optimizer(
            [4.0], options: Options(maxIterations: 2, maxEvaluations: 9))
        #expect(optimizer.beginStep() == .evaluate(Trial(stepLength: 0, iteration: 0)))
        #expect(optimizer.trialPoint == [4])
        // The first step length is lr min(1, 1 / ||g||_1).
        #expect(
            optimizer.advance(loss: 8, gradient: [4])
                == .evaluate(Trial(stepLength: 0.25, iteration: 1)))
        #expect(optimizer.trialPoint == [3])
        #expect(
            optimizer.advance(loss: 4.5, gradient: [3])
                == .finished(
                    StepResult(
                        reason: .maxIterations, lossBefore: 8, loss: 4.5, gradientNormInf: 3,
                        iterations: 2, evaluations: 2)))
        // One pair makes the direction exact; torch moves without evaluating the last point.
        #expect(optimizer.parameters == [0])
    }

    @Test func `each way to end a step has its reason`() throws {
        func reason(_ options: Options, _ start: [Double] = [4]) throws -> StopReason {
            let problem = Problem.quadratic(start.count, condition: 1e4)
            var optimizer = try Optimizer(start, options: options)
            return optimizer.step { problem.evaluate(at: $0) }.reason
        }
        #expect(try reason(Options(), [0]) == .gradientTolerance)
        #expect(
            try reason(Options(maxIterations: 3, maxEvaluations: 9), [4, 4, 4]) == .maxIterations)
        #expect(
            try reason(Options(maxEvaluations: 2, lineSearch: .strongWolfe), [4, 4, 4])
                == .maxEvaluations)
        #expect(
            try reason(Options(toleranceGradient: 0, toleranceChange: 10), [4, 4])
                == .stepTolerance)
        #expect(try reason(Options(lr: 1e-3, toleranceChange: 1e-2), [4]) == .stepTolerance)
        #expect(
            try reason(Options(toleranceGradient: 0, toleranceChange: 1e3), [4])
                == .notADescentDirection)
    }

    @Test func `a barrier that makes torch run off to -6e17 is solved`() throws {
        let problem = Problem.barrier(logarithm: { log($0) })
        var optimizer = try make(problem)
        optimizer.step { problem.evaluate(at: $0) }
        #expect(abs(optimizer.parameters[0] - 0.01) < 1e-6)
    }

    @Test(arguments: [Double.nan, .infinity, -.infinity])
    func `without a line search a non-finite loss ends the step where it was`(
        value: Double
    ) throws {
        var optimizer = try make(.quadratic(2, condition: 1), Options())
        _ = optimizer.beginStep()
        _ = optimizer.advance(loss: 1, gradient: [1, 1])
        let before = optimizer.parameters
        guard case .finished(let result) = optimizer.advance(loss: value, gradient: [0, 0]) else {
            Issue.record("the step goes on")
            return
        }
        #expect(result.reason == .nonFinite)
        #expect(optimizer.parameters == before)
        #expect(result.loss == 1 && result.evaluations == 2)
        // A later step goes on from there, with a finite history.
        let next = optimizer.step { Problem.quadratic(2, condition: 1).evaluate(at: $0) }
        #expect(next.converged)
    }

    @Test func `a non-finite start ends the step with nothing changed`() throws {
        var optimizer = try make(.rosenbrock())
        let result = optimizer.step { point in (.nan, point) }
        #expect(result.reason == .nonFinite && result.converged == false)
        #expect(optimizer.parameters == Problem.rosenbrock().start)
    }

    @Test func `a line search that finds nothing finite doesn't move`() throws {
        let problem = Problem.rosenbrock()
        var optimizer = try make(problem)
        let result = optimizer.step { point in
            point == problem.start ? problem.evaluate(at: point) : (.infinity, [.nan, .nan])
        }
        #expect(result.reason == .nonFinite)
        #expect(optimizer.parameters == problem.start)
        #expect(optimizer.step { problem.evaluate(at: $0) }.evaluations > 2)
    }

    @Test func `trial points that overflow are never asked for`() throws {
        var optimizer = try Optimizer(
            [1e308], options: Options(lr: 1e300, lineSearch: .strongWolfe))
        optimizer.step { point in
            #expect(point.allSatisfy { $0.isFinite })
            return (-point[0] * 1e-300, [-1e10])
        }
        #expect(optimizer.parameters.allSatisfy { $0.isFinite })
    }

    @Test func `infeasible points leave no trace in the history`() throws {
        let problem = Problem.rosenbrock(4)
        var optimizer = try make(problem, Options(maxIterations: 100, lineSearch: .strongWolfe))
        optimizer.step { point in
            point[0] > 0.3 && point[0] < 0.4 ? (.nan, point) : problem.evaluate(at: point)
        }
        let state = try #require(optimizer.torchState)
        #expect((state.oldDirs ?? []).allSatisfy { $0.allSatisfy { $0.isFinite } })
        #expect((state.oldStps ?? []).allSatisfy { $0.allSatisfy { $0.isFinite } })
    }

    @Test(arguments: [Options.LineSearchFunction?.none, .strongWolfe])
    func `stopping at any evaluation leaves the best finite point`(
        search: Options.LineSearchFunction?
    ) throws {
        let problem = Problem.rosenbrock(4)
        let options = Options(lr: search == nil ? 0.02 : 1, maxIterations: 30, lineSearch: search)
        for stopAt in 0..<25 {
            var optimizer = try make(problem, options)
            var best = (loss: Double.infinity, point: problem.start)
            var directive = optimizer.beginStep()
            for _ in 0..<stopAt {
                guard case .evaluate = directive else { break }
                let (loss, gradient) = problem.evaluate(at: optimizer.trialPoint)
                if loss <= best.loss { best = (loss, optimizer.trialPoint) }
                directive = optimizer.advance(loss: loss, gradient: gradient)
            }
            guard case .evaluate = directive else { break }
            let result = optimizer.stop()
            #expect(result.reason == .stopped && !optimizer.isStepping)
            #expect(optimizer.parameters == best.point, "stopped after \(stopAt)")
            #expect(result.loss == (stopAt == 0 ? nil : best.loss))
            if search != nil {
                let next = optimizer.step { problem.evaluate(at: $0) }
                #expect(next.loss ?? .infinity <= best.loss)
            }
        }
    }

    @Test func `an error in the closure ends the step at the best point, and is passed on`() throws
    {
        struct Failure: Error {}
        let problem = Problem.rosenbrock()
        var optimizer = try make(problem)
        var calls = 0
        #expect(throws: Failure.self) {
            try optimizer.step { point throws in
                calls += 1
                if calls == 5 { throw Failure() }
                return problem.evaluate(at: point)
            }
        }
        #expect(!optimizer.isStepping)
        #expect(problem.evaluate(optimizer.parameters).loss < problem.evaluate(problem.start).loss)
    }

    @Test func `options changed during a step take effect with the next`() throws {
        let problem = Problem.rosenbrock()
        var optimizer = try make(problem)
        _ = optimizer.beginStep()
        optimizer.options.maxIterations = 1
        var evaluations = 0
        while optimizer.isStepping {
            let (loss, gradient) = problem.evaluate(at: optimizer.trialPoint)
            _ = optimizer.advance(loss: loss, gradient: gradient)
            evaluations += 1
        }
        #expect(evaluations > 10)
        #expect(optimizer.step { problem.evaluate(at: $0) }.iterations == 1)
    }

    @Test func `options out of range are named`() {
        #expect(throws: OptionError.lr(-1)) { try Optimizer([1.0], options: Options(lr: -1)) }
        #expect(throws: OptionError.maxEvaluations(0)) {
            try Optimizer([1.0], options: Options(maxEvaluations: 0))
        }
        #expect(throws: OptionError.historySize(0)) {
            try Optimizer([1.0], options: Options(historySize: 0))
        }
        #expect(throws: OptionError.self) { try Optimizer([1.0], options: Options(lr: .nan)) }
    }
}
