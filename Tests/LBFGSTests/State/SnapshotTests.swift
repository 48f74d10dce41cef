import Foundation
import LBFGS
import TestKit
import Testing

struct SnapshotTests {
    /// Runs to the end, taking a snapshot before each evaluation and going on from it.
    private func points<Scalar: EngineScalar>(
        of problem: Problem, _ options: Options, _: Scalar.Type, steps: Int, resuming: Bool
    ) throws -> [[Scalar]] {
        var optimizer = try Optimizer(problem.start.map { Scalar($0) }, options: options)
        var points: [[Scalar]] = []
        for _ in 0..<steps {
            var directive = optimizer.beginStep()
            while case .evaluate = directive {
                if resuming {
                    let resumed = try Optimizer(optimizer.snapshot)
                    #expect(resumed == optimizer)
                    optimizer = resumed
                }
                points.append(optimizer.trialPoint)
                let (loss, gradient) = problem.evaluate(at: optimizer.trialPoint)
                // Some points are infeasible, so that contraction is resumed too.
                let isInfeasible = points.count % 7 == 5
                directive =
                    isInfeasible
                    ? optimizer.advanceInfeasible()
                    : optimizer.advance(loss: loss, gradient: gradient)
            }
            optimizer = resuming ? try Optimizer(optimizer.snapshot) : optimizer
            points.append(optimizer.parameters)
        }
        return points
    }

    @Test(arguments: [Options.LineSearchFunction?.none, .strongWolfe])
    func `a run resumed from a snapshot before every evaluation has the same bits`(
        search: Options.LineSearchFunction?
    ) throws {
        let options = Options(
            lr: search == nil ? 0.02 : 1, maxIterations: 15, historySize: 4, lineSearch: search)
        for problem in [Problem.rosenbrock(6), .quadratic(33, condition: 1e5)] {
            let whole = try points(of: problem, options, Double.self, steps: 4, resuming: false)
            let parts = try points(of: problem, options, Double.self, steps: 4, resuming: true)
            #expect(whole == parts)
            let whole32 = try points(of: problem, options, Float.self, steps: 4, resuming: false)
            let parts32 = try points(of: problem, options, Float.self, steps: 4, resuming: true)
            #expect(whole32 == parts32)
        }
    }

    @Test func `without a version of the arithmetic it is the first; a newer is refused`() throws {
        var snapshot = try Optimizer([1.0]).snapshot
        let scalars = try PropertyListEncoder().encode(snapshot.scalars)
        func read(numerics: Int?) throws -> OptimizerSnapshot<Double>.Scalars {
            // Sound: no address is passed.
            let list = try unsafe PropertyListSerialization.propertyList(
                from: scalars, format: nil)
            var fields = try #require(list as? [String: Any])
            #expect(fields["numerics"] as? Int == numericsVersion)
            fields["numerics"] = numerics
            return try PropertyListDecoder().decode(
                OptimizerSnapshot<Double>.Scalars.self,
                from: PropertyListSerialization.data(
                    fromPropertyList: fields, format: .binary, options: 0))
        }
        snapshot.scalars = try read(numerics: nil)
        #expect(try Optimizer(snapshot).numerics == 1)
        snapshot.scalars = try read(numerics: numericsVersion + 1)
        #expect(throws: SnapshotError.newerNumerics(numericsVersion + 1)) {
            try Optimizer(snapshot)
        }
    }

    @Test func `a snapshot that lacks a vector, or has one of the wrong length, is refused`() throws
    {
        let problem = Problem.rosenbrock(4)
        var optimizer = try Optimizer(problem.start, options: Options(lineSearch: .strongWolfe))
        _ = optimizer.beginStep()
        let (loss, gradient) = problem.evaluate(at: optimizer.trialPoint)
        _ = optimizer.advance(loss: loss, gradient: gradient)
        var snapshot = optimizer.snapshot
        snapshot.vectors["d"] = nil
        #expect(throws: SnapshotError.missingVector("d")) { try Optimizer(snapshot) }
        snapshot.vectors["d"] = [1]
        #expect(throws: SnapshotError.wrongLength("d", expected: 4, got: 1)) {
            try Optimizer(snapshot)
        }
    }

    @Test func `another optimizer goes on from a torch state as this one does`() throws {
        let problem = Problem.rosenbrock(6)
        let options = Options(maxIterations: 7, historySize: 5, lineSearch: .strongWolfe)
        var first = try Optimizer(problem.start, options: options)
        for _ in 0..<3 { first.step { problem.evaluate(at: $0) } }
        var second = try Optimizer(first.parameters, options: options)
        try second.load(first.torchState)
        for _ in 0..<3 {
            let one = first.step { problem.evaluate(at: $0) }
            let other = second.step { problem.evaluate(at: $0) }
            #expect(one == other)
            #expect(first.parameters == second.parameters)
        }
        #expect(first.torchState == second.torchState)
    }

    @Test func `a torch state that doesn't fit is refused, and nothing changes`() throws {
        let problem = Problem.rosenbrock(4)
        var optimizer = try Optimizer(problem.start, options: Options(lineSearch: .strongWolfe))
        optimizer.step { problem.evaluate(at: $0) }
        let before = optimizer
        let state = try #require(optimizer.torchState)
        var wrong = state
        wrong.d = [1]
        #expect(throws: TorchStateError.self) { try optimizer.load(wrong) }
        wrong = state
        wrong.oldDirs?[0][2] = .nan
        #expect(throws: TorchStateError.self) { try optimizer.load(wrong) }
        wrong = state
        wrong.oldStps?.removeLast()
        #expect(throws: TorchStateError.self) { try optimizer.load(wrong) }
        // Counters that would overflow.
        for key in [\TorchState<Double>.funcEvals, \TorchState<Double>.nIter] {
            for count in [-1, (1 << 53) + 1, Int.max] {
                wrong = state
                wrong[keyPath: key] = count
                #expect(throws: TorchStateError.self) { try optimizer.load(wrong) }
            }
        }
        #expect(optimizer == before)
    }
}
