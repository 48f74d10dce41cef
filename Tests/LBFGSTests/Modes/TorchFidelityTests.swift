import Foundation
import LBFGS
import Testing

/// Given the losses and gradients of a recorded run of torch.optim.LBFGS, the engine does what
/// torch did.
/// Fixtures/README.md says what was recorded, how, and why these tolerances can be kept: in float64
/// points and states are the same to the last bit.
@Suite("Fidelity to torch")
struct TorchFidelityTests {
    @Test("Evaluations, iterations and reasons are torch's", arguments: Recording.names)
    func decisions(name: String) throws {
        let recording = try Recording(named: name)
        let replayed = try recording.replay()
        #expect(replayed.count == recording.steps.count)
        for (index, (found, expected)) in zip(replayed, recording.steps).enumerated() {
            let wanted = expected.metadata
            #expect(found.points.count == wanted.evaluations, "step \(index)")
            #expect(!found.wantsMore, "step \(index) is not over")
            #expect(found.result?.reason == wanted.reason, "step \(index)")
            #expect(found.result?.evaluations == wanted.evaluations, "step \(index)")
            #expect(found.result?.iterations == wanted.iterations, "step \(index)")
            #expect(found.result?.lossBefore == wanted.loss, "step \(index)")
        }
    }

    @Test("Every trial point and every end point is torch's", arguments: Recording.names)
    func points(name: String) throws {
        let recording = try Recording(named: name)
        for (index, (found, expected)) in zip(try recording.replay(), recording.steps).enumerated()
        {
            for (number, (point, evaluation)) in zip(found.points, expected.evaluations)
                .enumerated()
            {
                let error = relativeError(point, evaluation.x, floor: 1)
                #expect(
                    error <= recording.pointTolerance, "step \(index), evaluation \(number)")
            }
            let error = relativeError(found.parameters, expected.parameters, floor: 1)
            #expect(error <= recording.pointTolerance, "after step \(index)")
        }
    }

    @Test("The state after every step is torch's", arguments: Recording.names)
    func states(name: String) throws {
        let recording = try Recording(named: name)
        for (index, (found, expected)) in zip(try recording.replay(), recording.steps).enumerated()
        {
            let (state, wanted) = (try #require(found.state), expected.metadata.state)
            #expect(state.funcEvals == wanted.funcEvals, "step \(index)")
            #expect(state.nIter == wanted.nIter, "step \(index)")
            #expect(state.oldDirs?.count ?? 0 == wanted.pairs, "step \(index)")
            #expect(state.prevLoss == wanted.prevLoss, "step \(index)")
            #expect(state.prevFlatGrad == expected.prevFlatGrad, "step \(index)")

            func expectClose(
                _ found: [Double]?, _ expected: [Double]?, _ key: String, floor: Double = 0
            ) {
                #expect((found == nil) == (expected == nil), "\(key) of step \(index)")
                guard let found, let expected else { return }
                let error = relativeError(found, expected, floor: floor)
                #expect(error <= recording.stateTolerance, "\(key) of step \(index)")
            }
            expectClose(state.d, expected.d, "d")
            expectClose(state.t.map { [$0] }, wanted.t.map { [$0] }, "t")
            expectClose(state.hDiag.map { [$0] }, wanted.hDiag.map { [$0] }, "H_diag")
            guard let history = expected.history, wanted.nIter > 0 else { continue }
            #expect(state.oldDirs == history.map(\.y), "step \(index)")
            expectClose(state.ro, history.map(\.ro), "ro")
            for (pair, s) in zip(history, state.oldStps ?? []) { expectClose(s, pair.s, "s") }
            // Alphas may cancel to nothing.
            let alphas = (state.al ?? []).prefix(history.count).map { $0 ?? 0 }
            expectClose(alphas, history.map(\.al), "al", floor: 1)
        }
    }

    @Test("In coefficients, as version 1 rounds, points agree but for rounding", arguments: names)
    func pointsInCoefficients(name: String) throws {
        let recording = try Recording(named: name)
        for (found, expected) in zip(try recording.replay(numerics: 1), recording.steps) {
            #expect(found.result?.reason == expected.metadata.reason)
            for (point, evaluation) in zip(found.points, expected.evaluations) {
                #expect(relativeError(point, evaluation.x, floor: 1) <= 1e-10)
            }
        }
    }

    private static let names = Recording.names.filter { !$0.contains("float32") }

    @Test("The recordings cover both precisions and every reason torch has")
    func coverage() throws {
        let recordings = try Recording.names.map(Recording.init(named:))
        #expect(recordings.count >= 44)
        #expect(Set(recordings.map(\.metadata.dtype)) == ["float32", "float64"])
        let reasons = Set(recordings.flatMap { $0.steps.map(\.metadata.reason) })
        #expect(
            reasons
                == Set(StopReason.allCases).subtracting([
                    .nonFinite, .lineSearchFailed, .withinNoise, .stopped,
                ]))
    }
}

/// ||found - expected||inf / max(floor, ||expected||inf); 0 where they are equal.
private func relativeError(_ found: [Double], _ expected: [Double], floor: Double) -> Double {
    guard found.count == expected.count else { return .infinity }
    let difference = zip(found, expected).map { abs($0 - $1) }.max() ?? 0
    return difference == 0 ? 0 : difference / max(floor, expected.map(abs).max() ?? 0)
}

// MARK: - Replaying

extension Recording {
    /// What the engine did in one step, its vectors widened.
    struct Replayed {
        /// The points at which it wanted evaluations.
        var points: [[Double]]
        var result: StepResult?
        /// Whether it wanted another evaluation where torch had ended the step.
        var wantsMore: Bool
        var parameters: [Double]
        var state: TorchState<Double>?
    }

    /// Feeds the recorded losses and gradients to the engine, up to the first step that the engine
    /// doesn't end where torch did.
    func replay(numerics: Int = numericsVersion) throws -> [Replayed] {
        switch metadata.dtype {
        case "float64": try replay(as: Double.self, numerics)
        case "float32": try replay(as: Float.self, numerics)
        default: throw FixtureError.unknownType(metadata.dtype)
        }
    }

    private func replay<Scalar: EngineScalar>(
        as: Scalar.Type, _ numerics: Int
    ) throws -> [Replayed] {
        var optimizer = try Optimizer<Scalar>(
            initial.map { Scalar($0) }, options: metadata.options.engineOptions,
            numerics: numerics)
        var replayed: [Replayed] = []
        for step in steps {
            if let options = step.metadata.options { optimizer.options = options.engineOptions }
            var points: [[Double]] = []
            var result: StepResult?
            var directive = optimizer.beginStep()
            for evaluation in step.evaluations {
                guard case .evaluate = directive else { break }
                points.append(optimizer.trialPoint.map { Double($0) })
                directive = optimizer.advance(
                    loss: evaluation.loss, gradient: evaluation.gradient.map { Scalar($0) })
            }
            if case .finished(let finished) = directive { result = finished }
            let parameters = optimizer.parameters.map { Double($0) }
            replayed.append(
                Replayed(
                    points: points, result: result, wantsMore: result == nil,
                    parameters: parameters, state: optimizer.torchState.map(widened)))
            if result == nil || points.count < step.evaluations.count { break }
        }
        return replayed
    }

    private func widened<Scalar: EngineScalar>(_ state: TorchState<Scalar>) -> TorchState<Double> {
        func widened(_ vector: [Scalar]) -> [Double] { vector.map { Double($0) } }
        return TorchState(
            funcEvals: state.funcEvals, nIter: state.nIter, d: state.d.map(widened), t: state.t,
            oldDirs: state.oldDirs?.map(widened), oldStps: state.oldStps?.map(widened),
            ro: state.ro, hDiag: state.hDiag, prevFlatGrad: state.prevFlatGrad.map(widened),
            prevLoss: state.prevLoss, al: state.al)
    }
}

// MARK: - Reading

enum FixtureError: Error {
    case unknownType(String)
    case truncated
    case trailingOctets(Int)
}

/// One case of Fixtures/torch. Vectors of float32 are widened, which is exact.
struct Recording {
    struct Metadata: Decodable {
        var dtype: String
        var n: Int
        var options: RecordedOptions
        var hasHistory: Bool
        var steps: [StepMetadata]
    }

    struct StepMetadata: Decodable {
        /// Options changed before this step.
        var options: RecordedOptions?
        var evaluations: Int
        var iterations: Int
        var reason: StopReason
        var loss: Double
        var state: StateMetadata
    }

    struct StateMetadata: Decodable {
        var funcEvals: Int
        var nIter: Int
        var pairs: Int
        var t: Double?
        var hDiag: Double?
        var prevLoss: Double?
    }

    struct RecordedOptions: Decodable {
        var lr: Double
        var maxIter: Int
        var maxEval: Int
        var toleranceGrad: Double
        var toleranceChange: Double
        var historySize: Int
        var lineSearchFn: Options.LineSearchFunction?

        var engineOptions: Options {
            Options(
                lr: lr, maxIterations: maxIter, maxEvaluations: maxEval,
                toleranceGradient: toleranceGrad, toleranceChange: toleranceChange,
                historySize: historySize, lineSearch: lineSearchFn)
        }
    }

    struct Evaluation {
        var loss: Double
        var x: [Double]
        var gradient: [Double]
    }

    struct Pair {
        var y: [Double]
        var s: [Double]
        var ro: Double
        var al: Double
    }

    struct Step {
        var metadata: StepMetadata
        var evaluations: [Evaluation]
        var parameters: [Double]
        var d: [Double]?
        var prevFlatGrad: [Double]?
        /// Oldest first; nil where it was not recorded.
        var history: [Pair]?
    }

    let name: String
    var metadata: Metadata
    var initial: [Double]
    var steps: [Step]

    /// Recordings in which MKL rounded a square root of the cubic interpolation the other way; see
    /// Fixtures/README.md.
    static let namesWithOtherRoots: Set = ["history_1", "history_100_full", "waves_uphill"]

    /// 0: the same bits.
    var pointTolerance: Double {
        metadata.dtype == "float32" ? 1e-4 : Self.namesWithOtherRoots.contains(name) ? 1e-10 : 0
    }
    var stateTolerance: Double {
        metadata.dtype == "float32" ? 1e-2 : Self.namesWithOtherRoots.contains(name) ? 1e-8 : 0
    }

    private static let directory = URL(filePath: #filePath).deletingLastPathComponent()
        .appending(path: "../Fixtures/torch")

    /// The names of all recordings; empty, which `coverage` rejects, if they can't be listed.
    static let names: [String] = {
        let files = try? FileManager.default.contentsOfDirectory(
            at: directory, includingPropertiesForKeys: nil)
        return (files ?? []).filter { $0.pathExtension == "json" }
            .map { $0.deletingPathExtension().lastPathComponent }.sorted()
    }()

    init(named name: String) throws {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        let json = Recording.directory.appending(path: name + ".json")
        let metadata = try decoder.decode(Metadata.self, from: Data(contentsOf: json))
        let binary = Recording.directory.appending(path: name + ".bin")
        var reader = Reader(octets: [UInt8](try Data(contentsOf: binary)), dtype: metadata.dtype)

        let n = metadata.n
        self.name = name
        self.metadata = metadata
        initial = try reader.vector(n)
        steps = []
        for step in metadata.steps {
            let evaluations = try (0..<step.evaluations).map { _ in
                Evaluation(
                    loss: try reader.double(), x: try reader.vector(n),
                    gradient: try reader.vector(n))
            }
            let parameters = try reader.vector(n)
            let hasIterated = step.state.nIter > 0
            let d = hasIterated ? try reader.vector(n) : nil
            let prevFlatGrad = hasIterated ? try reader.vector(n) : nil
            var history: [Pair]?
            if metadata.hasHistory {
                history = try (0..<step.state.pairs).map { _ in
                    Pair(
                        y: try reader.vector(n), s: try reader.vector(n),
                        ro: try reader.double(), al: try reader.double())
                }
            }
            steps.append(
                Step(
                    metadata: step, evaluations: evaluations, parameters: parameters, d: d,
                    prevFlatGrad: prevFlatGrad, history: history))
        }
        guard reader.rest == 0 else { throw FixtureError.trailingOctets(reader.rest) }
    }
}

/// Little-endian numbers, one after the other.
private struct Reader {
    let octets: [UInt8]
    let dtype: String
    private var offset = 0

    init(octets: [UInt8], dtype: String) {
        self.octets = octets
        self.dtype = dtype
    }

    var rest: Int { octets.count - offset }

    mutating func double() throws -> Double {
        Double(bitPattern: try integer(UInt64.self))
    }

    mutating func vector(_ count: Int) throws -> [Double] {
        switch dtype {
        case "float64": try (0..<count).map { _ in try double() }
        case "float32":
            try (0..<count).map { _ in Double(Float(bitPattern: try integer(UInt32.self))) }
        default: throw FixtureError.unknownType(dtype)
        }
    }

    private mutating func integer<Integer: FixedWidthInteger>(
        _: Integer.Type
    ) throws -> Integer {
        let size = Integer.bitWidth / 8
        guard rest >= size else { throw FixtureError.truncated }
        var value: Integer = 0
        for index in stride(from: offset + size - 1, through: offset, by: -1) {
            value = value << 8 | Integer(octets[index])
        }
        offset += size
        return value
    }
}
