/// The names of the stored vectors.
private enum VectorName {
    static let parameters = "x"
    static let gradient = "g"
    static let direction = "d"
    static let previousGradient = "previous_g"
    static let bestPoint = "best"
    static let bestGradient = "best_g"
    static let trialPrefix = "trial/"
}

extension Optimizer {
    /// The numbers of the pairs in the history, oldest first. O(m).
    public var pairNumbers: [Int] { history.pairs.map(\.number) }

    /// The state, between any two events. O(m): arrays are shared until one side changes them.
    public var snapshot: OptimizerSnapshot<Scalar> {
        var vectors = [VectorName.parameters: parameters]
        vectors[VectorName.gradient] = gradient
        vectors[VectorName.direction] = direction
        vectors[VectorName.previousGradient] = previousGradient
        vectors[VectorName.bestPoint] = bestPoint
        vectors[VectorName.bestGradient] = bestGradient
        for (trial, gradient) in trialGradients {
            vectors["\(VectorName.trialPrefix)\(trial)"] = gradient
        }
        return OptimizerSnapshot(
            scalars: .init(
                options: options, iterationCount: iterationCount,
                evaluationCount: evaluationCount, loss: loss, phase: phase, progress: progress,
                gradientNormInf: gradientNormInf, directionNormInf: directionNormInf,
                stepLength: stepLength, previousLoss: previousLoss, alphas: alphas,
                initialScale: history.initialScale, pairsMade: history.pairsMade,
                frozenRanges: frozenRanges, carried: carried, numerics: numerics),
            vectors: vectors.filter { !$0.value.isEmpty }, pairs: history.pairs)
    }

    /// Resumes where a snapshot was taken. O(n), for the trial point.
    /// - Parameter snapshot: Its parts are used as they are, and shared.
    /// - Throws: Which part of the snapshot is wrong.
    public init(_ snapshot: OptimizerSnapshot<Scalar>) throws(SnapshotError) {
        guard let x = snapshot.vectors[VectorName.parameters] else {
            throw .missingVector(VectorName.parameters)
        }
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
        gradient = snapshot.vectors[VectorName.gradient] ?? []
        gradientNormInf = scalars.gradientNormInf
        direction = snapshot.vectors[VectorName.direction] ?? []
        directionNormInf = scalars.directionNormInf
        stepLength = scalars.stepLength
        previousGradient = snapshot.vectors[VectorName.previousGradient] ?? []
        previousLoss = scalars.previousLoss
        alphas = scalars.alphas
        history = CurvatureHistory(
            pairs: snapshot.pairs, pairsMade: scalars.pairsMade,
            initialScale: scalars.initialScale)
        bestPoint = snapshot.vectors[VectorName.bestPoint] ?? []
        bestGradient = snapshot.vectors[VectorName.bestGradient] ?? []
        frozenRanges = scalars.frozenRanges
        guard frozenRanges.allSatisfy({ $0.lowerBound >= 0 && $0.upperBound <= x.count }) else {
            throw .missingVector("frozen range")
        }
        carried = scalars.carried ?? .init()
        for (name, vector) in snapshot.vectors where name.hasPrefix(VectorName.trialPrefix) {
            guard let trial = Int(name.dropFirst(VectorName.trialPrefix.count)) else {
                throw .missingVector(name)
            }
            trialGradients[trial] = vector
        }
        switch phase {
        case .idle, .evaluatingStart:
            break
        case .evaluatingFixedStep(let pending):
            guard !direction.isEmpty else { throw .missingVector(VectorName.direction) }
            trialPoint = point(at: pending)
        case .searching(let search):
            guard !direction.isEmpty else { throw .missingVector(VectorName.direction) }
            for trial in search.retainedTrials where trial > 0 && trialGradients[trial] == nil {
                throw .missingVector("\(VectorName.trialPrefix)\(trial)")
            }
            trialPoint = point(at: search.pendingStepLength)
        }
    }
}
