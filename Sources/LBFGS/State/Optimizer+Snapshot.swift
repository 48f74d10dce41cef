/// The whole state of an optimizer, the middle of a line search included, in parts that can be
/// stored: scalars, vectors by name, and the pairs, which never change.
///
/// What follows from the rest isn't in it: the trial point is x + t d, worked out again with the
/// same bits.
public struct OptimizerSnapshot<Scalar: EngineScalar>: Equatable, Sendable {
    /// The scalars. Opaque: only to be kept and given back.
    public struct Scalars: Equatable, Sendable, Codable {
        var options: Options
        var iterationCount: Int
        var evaluationCount: Int
        var loss: Double?
        var phase: Optimizer<Scalar>.Phase
        var progress: Optimizer<Scalar>.Progress
        var gradientNormInf: Double
        var directionNormInf: Double
        var stepLength: Double
        var previousLoss: Double?
        var alphas: [Double]?
        var initialScale: Double
        var pairsMade: Int
        var frozenRanges: [Range<Int>]
        /// Absent in a snapshot of an engine before robust mode.
        var memory: Optimizer<Scalar>.Memory?
        /// Absent in a snapshot of an engine whose `numericsVersion` was 1.
        var numerics: Int?
    }

    public var scalars: Scalars
    /// Never empty vectors; one that is absent isn't there.
    public var vectors: [String: [Scalar]]
    /// Oldest first.
    public var pairs: [CurvaturePair<Scalar>]

    public init(
        scalars: Scalars, vectors: [String: [Scalar]], pairs: [CurvaturePair<Scalar>]
    ) {
        self.scalars = scalars
        self.vectors = vectors
        self.pairs = pairs
    }
}

/// A snapshot that can't be one that was taken: it says which part is wrong.
public enum SnapshotError: Error, Equatable, Sendable {
    case missingVector(String)
    case wrongLength(String, expected: Int, got: Int)
    /// An engine took it that rounds in a way which this one doesn't know.
    case newerNumerics(Int)
}

extension Optimizer {
    private static var trialPrefix: String { "trial/" }

    /// Numbers of the pairs in the history, oldest first.
    public var pairNumbers: [Int] { history.pairs.map(\.number) }

    /// O(1): arrays are shared until they change.
    public var snapshot: OptimizerSnapshot<Scalar> {
        var vectors = ["x": parameters]
        vectors["g"] = gradient
        vectors["d"] = direction
        vectors["previous_g"] = previousGradient
        vectors["best"] = bestPoint
        vectors["best_g"] = bestGradient
        for (trial, gradient) in trialGradients {
            vectors["\(Optimizer.trialPrefix)\(trial)"] = gradient
        }
        return OptimizerSnapshot(
            scalars: .init(
                options: options, iterationCount: iterationCount,
                evaluationCount: evaluationCount, loss: loss, phase: phase, progress: progress,
                gradientNormInf: gradientNormInf, directionNormInf: directionNormInf,
                stepLength: stepLength, previousLoss: previousLoss, alphas: alphas,
                initialScale: history.initialScale, pairsMade: history.pairsMade,
                frozenRanges: frozenRanges, memory: memory, numerics: numerics),
            vectors: vectors.filter { !$0.value.isEmpty }, pairs: history.pairs)
    }

    /// Takes up where the snapshot was taken. O(n) for the trial point.
    public init(_ snapshot: OptimizerSnapshot<Scalar>) throws(SnapshotError) {
        guard let x = snapshot.vectors["x"] else { throw .missingVector("x") }
        for (name, vector) in snapshot.vectors where vector.count != x.count {
            throw .wrongLength(name, expected: x.count, got: vector.count)
        }
        for pair in snapshot.pairs where pair.count != x.count {
            throw .wrongLength("pair/\(pair.number)", expected: x.count, got: pair.count)
        }
        let scalars = snapshot.scalars
        numerics = scalars.numerics ?? 1
        guard 1...numericsVersion ~= numerics else { throw .newerNumerics(numerics) }
        options = scalars.options
        parameters = x
        trialPoint = x
        iterationCount = scalars.iterationCount
        evaluationCount = scalars.evaluationCount
        loss = scalars.loss
        phase = scalars.phase
        progress = scalars.progress
        gradient = snapshot.vectors["g"] ?? []
        gradientNormInf = scalars.gradientNormInf
        direction = snapshot.vectors["d"] ?? []
        directionNormInf = scalars.directionNormInf
        stepLength = scalars.stepLength
        previousGradient = snapshot.vectors["previous_g"] ?? []
        previousLoss = scalars.previousLoss
        alphas = scalars.alphas
        history = CurvatureHistory(
            pairs: snapshot.pairs, pairsMade: scalars.pairsMade,
            initialScale: scalars.initialScale)
        bestPoint = snapshot.vectors["best"] ?? []
        frozenRanges = scalars.frozenRanges
        guard frozenRanges.allSatisfy({ $0.lowerBound >= 0 && $0.upperBound <= x.count }) else {
            throw .missingVector("frozen range")
        }
        bestGradient = snapshot.vectors["best_g"] ?? []
        memory = scalars.memory ?? .init()
        for (name, vector) in snapshot.vectors where name.hasPrefix(Optimizer.trialPrefix) {
            guard let trial = Int(name.dropFirst(Optimizer.trialPrefix.count)) else {
                throw .missingVector(name)
            }
            trialGradients[trial] = vector
        }
        switch phase {
        case .idle, .opening:
            break
        case .moving(let pending):
            guard !direction.isEmpty else { throw .missingVector("d") }
            trialPoint = point(at: pending)
        case .searching(let search):
            guard !direction.isEmpty else { throw .missingVector("d") }
            for trial in search.retainedTrials where trial > 0 && trialGradients[trial] == nil {
                throw .missingVector("\(Optimizer.trialPrefix)\(trial)")
            }
            trialPoint = point(at: search.pendingStepLength)
        case .probing(let search):
            guard !direction.isEmpty else { throw .missingVector("d") }
            for trial in search.retainedTrials where trial > 0 && trialGradients[trial] == nil {
                throw .missingVector("\(Optimizer.trialPrefix)\(trial)")
            }
            trialPoint = point(at: search.pendingStepLength)
        }
    }
}
