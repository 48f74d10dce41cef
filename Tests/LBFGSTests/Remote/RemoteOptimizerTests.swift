import Foundation
import LBFGS
import TestKit
import Testing

struct RemoteOptimizerTests {
    private static let problems: [Problem] = [
        .rosenbrock(2), .rosenbrock(40), .quadratic(33, condition: 1e3),
    ]

    private static let settings: [Options] = [
        Options(maxIterations: 400, maxEvaluations: 500, historySize: 5, mode: .robust),
        Options(
            maxIterations: 400, maxEvaluations: 500, historySize: 5, lineSearch: .moreThuente,
            mode: .robust),
        Options(
            maxIterations: 400, maxEvaluations: 500, historySize: 5, lineSearch: .strongWolfe),
    ]

    @Test(arguments: settings, [1, 2, 4])
    func `workers find the minimum in about as many evaluations as one process`(
        options: Options, count: Int
    ) throws {
        for problem in Self.problems where problem.start.count >= count {
            var local = try Optimizer(problem.start, options: options)
            let expected = local.step { problem.evaluate(at: $0) }
            var optimizer = try RemoteOptimizer(options: options)
            var workers = SimulatedWorkers(problem, count: count)
            let result = try workers.step(&optimizer)
            let loss = problem.evaluate(at: workers.parameters).loss
            #expect(loss == result.loss, "\(problem.name)")
            #expect(abs(loss - (expected.loss ?? .nan)) < 1e-6, "\(problem.name)")
            let ratio = Double(result.evaluations) / Double(expected.evaluations)
            #expect(0.7...1.4 ~= ratio, "\(problem.name): \(result.evaluations)")
        }
    }

    @Test(arguments: settings)
    func `trial points are those of one process up to rounding`(options: Options) throws {
        let problem = Problem.rosenbrock(40)
        var local = try Optimizer(problem.start, options: options)
        var expected: [[Double]] = []
        local.step { point in
            expected.append(point)
            return problem.evaluate(at: point)
        }
        var optimizer = try RemoteOptimizer(options: options)
        var workers = SimulatedWorkers(problem, count: 3)
        _ = try workers.step(&optimizer)
        // Rounding errors grow along a run.
        for (index, point) in workers.points.prefix(12).enumerated() {
            for (value, other) in zip(point, expected[index]) {
                #expect(abs(value - other) <= 1e-9 * max(1, abs(other)), "point \(index)")
            }
        }
        #expect(workers.points.count > 12)
    }

    @Test(arguments: settings)
    func `a run resumed from a snapshot at every command has the same bits`(
        options: Options
    ) throws {
        for problem in Self.problems {
            var runs: [[[Double]]] = []
            for resuming in [false, true] {
                var optimizer = try RemoteOptimizer(options: options)
                var workers = SimulatedWorkers(problem, count: 2)
                _ = try workers.step(&optimizer, resuming: resuming)
                _ = try workers.step(&optimizer, resuming: resuming)
                runs.append(workers.points + [workers.parameters])
            }
            #expect(runs[0] == runs[1])
        }
    }

    @Test func `steps of one iteration go on with the pairs, as in one process`() throws {
        let problem = Problem.rosenbrock(40)
        for search in [Options.LineSearchFunction?.none, .strongWolfe] {
            let options = Options(
                lr: search == nil ? 0.02 : 1, maxIterations: 1, historySize: 4,
                lineSearch: search)
            var local = try Optimizer(problem.start, options: options)
            var optimizer = try RemoteOptimizer(options: options)
            var workers = SimulatedWorkers(problem, count: 2)
            for _ in 0..<8 {
                let expected = local.step { problem.evaluate(at: $0) }
                let result = try workers.step(&optimizer)
                #expect(result.evaluations == expected.evaluations)
                #expect(result.reason == expected.reason)
                for (value, other) in zip(workers.parameters, local.parameters) {
                    #expect(abs(value - other) <= 1e-8 * max(1, abs(other)))
                }
            }
            #expect(optimizer.pairCount == 4)
            #expect(!workers.commands.filter(\.drop).isEmpty)
        }
    }

    @Test func `a step that is stopped ends at its best point`() throws {
        let problem = Problem.rosenbrock(40)
        for options in Self.settings {
            for evaluations in 1...25 {
                var optimizer = try RemoteOptimizer(options: options)
                var workers = SimulatedWorkers(problem, count: 2)
                var directive = optimizer.beginStep()
                var best = Double.infinity
                for _ in 0..<evaluations {
                    guard case .evaluate = directive,
                        let (loss, gradient) = workers.perform(optimizer.command)
                    else { break }
                    best = min(best, loss)
                    directive = optimizer.advance(loss: loss, gradient: gradient)
                }
                guard case .evaluate = directive else { continue }
                // Workers have executed the last command when the step is stopped.
                _ = workers.perform(optimizer.command)
                let result = optimizer.stop()
                #expect(workers.perform(optimizer.command) == nil)
                #expect(result.loss == best)
                #expect(problem.evaluate(at: workers.parameters).loss == best)
                // And the next step goes on from there.
                let next = try workers.step(&optimizer)
                #expect(next.lossBefore == best)
                #expect((next.loss ?? .nan) < 1e-8, "\(next.reason)")
            }
        }
    }

    @Test func `infeasible points are contracted from`() throws {
        // A wall where the first trials go.
        let inner = Problem.rosenbrock(8)
        let walled = Problem(name: "walled", start: inner.start) { x in
            x.contains { $0 > 1.3 } ? (.nan, x.map { _ in .nan }) : inner.evaluate(at: x)
        }
        for options in Self.settings {
            var optimizer = try RemoteOptimizer(options: options)
            var workers = SimulatedWorkers(walled, count: 2)
            let result = try workers.step(&optimizer)
            #expect(result.loss == inner.evaluate(at: workers.parameters).loss)
            #expect((result.loss ?? .nan) < 1e-8, "\(result.reason)")
        }
    }

    @Test func `a failed search clears the pairs and returns to the best point`() throws {
        // The gradient has the wrong sign from some evaluation on: no search can succeed.
        let inner = Problem.rosenbrock(8)
        var optimizer = try RemoteOptimizer(options: Self.settings[0])
        var workers = SimulatedWorkers(inner, count: 2)
        var directive = optimizer.beginStep()
        var best = Double.infinity
        var evaluations = 0
        while case .evaluate = directive {
            guard let (loss, gradient) = workers.perform(optimizer.command) else { break }
            evaluations += 1
            let isBroken = evaluations > 12
            let told = isBroken ? best + Double(evaluations) : loss
            best = min(best, told)
            directive = optimizer.advance(loss: told, gradient: gradient)
        }
        guard case .finished(let result) = directive else { return }
        _ = workers.perform(optimizer.command)
        #expect(result.reason == .lineSearchFailed)
        #expect(!workers.commands.filter(\.clear).isEmpty)
        #expect(inner.evaluate(at: workers.parameters).loss == best)
    }

    @Test func `snapshots survive a property list, and forged ones are refused`() throws {
        var optimizer = try RemoteOptimizer(options: Self.settings[0])
        var workers = SimulatedWorkers(.rosenbrock(8), count: 2)
        var directive = optimizer.beginStep()
        for _ in 0..<9 {
            guard case .evaluate = directive,
                let (loss, gradient) = workers.perform(optimizer.command)
            else { break }
            directive = optimizer.advance(loss: loss, gradient: gradient)
        }
        let data = try PropertyListEncoder().encode(optimizer.snapshot)
        let read = try PropertyListDecoder().decode(RemoteSnapshot.self, from: data)
        #expect(try RemoteOptimizer(read) == optimizer)
        // Sound: no address is passed.
        let list = try unsafe PropertyListSerialization.propertyList(from: data, format: nil)
        let fields = try #require(list as? [String: Any])
        let forgeries: [(String, Any)] = [
            ("pairs", [Any]()), ("pairsMade", 0), ("historySize", 0), ("unitRoundoff", 0.0),
            ("numerics", 99), ("evaluationCount", -1), ("initialScale", "none"),
        ]
        for (key, value) in forgeries {
            var forged = fields
            forged[key] = value
            let octets = try PropertyListSerialization.data(
                fromPropertyList: forged, format: .binary, options: 0)
            #expect(throws: (any Error).self, "\(key)") {
                try RemoteOptimizer(
                    PropertyListDecoder().decode(RemoteSnapshot.self, from: octets))
            }
        }
    }
}
