import Foundation
import LBFGS
import Testing

/// Where a step begins without a finite loss, mode `torch` goes where torch.optim.LBFGS went.
/// Fixtures/record_starts.py made the recordings.
@Suite("Starts without a finite loss")
struct TorchStartTests {
    struct Recorded: Decodable, CustomTestStringConvertible {
        struct Evaluation: Decodable {
            var x: [Double]
            var loss: Double
            var gradient: [Double]
        }
        struct Step: Decodable {
            var evaluations: [Evaluation]
            var parameters: [Double]
        }

        var name: String
        var dtype: String
        var options: Recording.RecordedOptions
        var initial: [Double]
        var steps: [Step]

        var testDescription: String { name }
    }

    /// Empty, which `coverage` rejects, if they can't be read.
    static let recorded: [Recorded] = {
        let file = URL(filePath: #filePath).deletingLastPathComponent()
            .appending(path: "../Fixtures/torch-starts.json")
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        decoder.nonConformingFloatDecodingStrategy = .convertFromString(
            positiveInfinity: "Infinity", negativeInfinity: "-Infinity", nan: "NaN")
        return (try? decoder.decode([Recorded].self, from: Data(contentsOf: file))) ?? []
    }()

    @Test func coverage() {
        #expect(Self.recorded.count >= 14)
        let losses = Self.recorded.flatMap { $0.steps.flatMap { $0.evaluations.map(\.loss) } }
        #expect(losses.contains { $0.isNaN } && losses.contains(.infinity))
    }

    @Test(arguments: recorded)
    func `trial points, ends and counts are torch's`(case recorded: Recorded) throws {
        switch recorded.dtype {
        case "float64": try follow(recorded, Double.self, tolerance: 0)
        default: try follow(recorded, Float.self, tolerance: 1e-4)
        }
    }

    private func follow<Scalar: EngineScalar>(
        _ recorded: Recorded, _: Scalar.Type, tolerance: Double
    ) throws {
        func expectClose(_ found: [Scalar], _ wanted: [Double], _ comment: Comment) {
            let error = zip(found, wanted).map { abs(Double($0) - $1) }.max() ?? .infinity
            #expect(error <= tolerance * max(1, wanted.map(abs).max() ?? 0), comment)
        }
        var optimizer = try Optimizer(
            recorded.initial.map { Scalar($0) }, options: recorded.options.engineOptions)
        for (index, step) in recorded.steps.enumerated() {
            var directive = optimizer.beginStep()
            for (number, evaluation) in step.evaluations.enumerated() {
                guard case .evaluate = directive else {
                    Issue.record("step \(index) ended before evaluation \(number)")
                    return
                }
                let resumed = try Optimizer(optimizer.snapshot)
                #expect(resumed.trialPoint == optimizer.trialPoint)
                optimizer = resumed
                let place: Comment = "step \(index), evaluation \(number)"
                expectClose(optimizer.trialPoint, evaluation.x, place)
                directive = optimizer.advance(
                    loss: evaluation.loss, gradient: evaluation.gradient.map { Scalar($0) })
            }
            guard case .finished(let result) = directive else {
                Issue.record("step \(index) is not over")
                return
            }
            #expect(result.evaluations == step.evaluations.count)
            if result.loss?.isFinite == false { #expect(!result.converged) }
            expectClose(optimizer.parameters, step.parameters, "after step \(index)")
        }
    }

    private static let options = Options(lineSearch: .strongWolfe)

    @Test(arguments: [Options.LineSearchFunction?.none, .strongWolfe])
    func `a loss that isn't a number is never moved to`(
        search: Options.LineSearchFunction?
    ) throws {
        var optimizer = try Optimizer([3.0, 1], options: Options(lineSearch: search))
        let result = optimizer.step { (.nan, $0) }
        #expect(result.reason == .nonFinite && result.loss?.isNaN == true)
        #expect(optimizer.parameters == [3, 1] && optimizer.best == nil)
    }

    @Test func `once a loss is finite, an infinite one is infeasible`() throws {
        var optimizer = try Optimizer([4.0], options: Options(lr: 0.5))
        _ = optimizer.beginStep()
        _ = optimizer.advance(loss: .infinity, gradient: [4])
        _ = optimizer.advance(loss: .infinity, gradient: [3.5])
        _ = optimizer.advance(loss: 5, gradient: [3])
        let before = optimizer.parameters
        guard case .finished(let result) = optimizer.advance(loss: .infinity, gradient: [1]) else {
            Issue.record("the step goes on")
            return
        }
        #expect(result.reason == .nonFinite && result.loss == 5)
        #expect(optimizer.parameters == before)
    }

    @Test func `without a gradient, or from -infinity, a step ends where it began`() throws {
        for (loss, gradient) in [
            (Double.infinity, [Double.nan, 0]), (.nan, [.infinity, 0]), (-.infinity, [1, 0]),
        ] {
            var optimizer = try Optimizer([3.0, 1], options: Self.options)
            let result = optimizer.step { _ in (loss, gradient) }
            #expect(result.reason == .nonFinite && result.evaluations == 1)
            #expect(optimizer.parameters == [3, 1])
        }
    }

    @Test func `a trial without a gradient contracts a search from an infinite start`() throws {
        var optimizer = try Optimizer([3.0], options: Self.options)
        var trials: [Double] = []
        let result = optimizer.step { point in
            trials.append(point[0])
            if point[0] == 3 { return (.infinity, [9]) }
            return point[0] < 2.9 ? (.infinity, [.nan]) : (point[0] * point[0], [2 * point[0]])
        }
        #expect(trials.allSatisfy { $0.isFinite } && optimizer.parameters[0] >= 2.9)
        #expect(optimizer.parameters[0] < 3 && result.loss?.isFinite == true)
    }

    @Test func `a small gradient where the loss is infinite is no convergence`() throws {
        var optimizer = try Optimizer([3.0], options: Self.options)
        let result = optimizer.step { _ in (.infinity, [0]) }
        #expect(result.reason == .nonFinite && result.evaluations == 1)
    }

    @Test func `an engine of version 1 ends such a step, when it is resumed too`() throws {
        let old = try Optimizer([3.0], options: Self.options, numerics: 1)
        for var optimizer in [old, try Optimizer(old.snapshot)] {
            let result = optimizer.step { _ in (.infinity, [1]) }
            #expect(result.reason == .nonFinite && result.evaluations == 1)
            #expect(optimizer.parameters == [3] && optimizer.numerics == 1)
        }
    }
}
