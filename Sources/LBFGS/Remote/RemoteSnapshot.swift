/// The whole state of a ``RemoteOptimizer`` between two events, to be stored by way of `Codable`.
/// O(m^2) numbers.
public struct RemoteSnapshot: Equatable, Sendable, Codable {
    struct Pair: Equatable, Sendable, Codable {
        var number: Int
        var sy: [Double]
        var yy: [Double]
    }

    struct RetainedTrial: Equatable, Sendable, Codable {
        var number: Int
        var gradient: RemoteGradient
    }

    var numerics: Int
    var options: Options
    var historySize: Int
    var unitRoundoff: Double
    var iterationCount: Int
    var evaluationCount: Int
    var loss: Double?
    var command: RemoteCommand
    var phase: StepPhase
    var progress: StepProgress
    var carried: CarriedState
    var gradientNormInf: Double
    var directionNormInf: Double
    var stepLength: Double
    var previousLoss: Double?
    var gradient: RemoteGradient
    var trials: [RetainedTrial]
    var startGradientSquared: Double?
    var directionSquared: Double
    var predictedSlope: Double?
    var pairs: [Pair]
    var pairsMade: Int
    var initialScale: Double
}

extension RemoteOptimizer {
    /// The state, between any two events. O(m^2).
    public var snapshot: RemoteSnapshot {
        RemoteSnapshot(
            numerics: numerics, options: options, historySize: historySize,
            unitRoundoff: unitRoundoff, iterationCount: iterationCount,
            evaluationCount: evaluationCount, loss: loss, command: command, phase: phase,
            progress: progress, carried: carried, gradientNormInf: gradientNormInf,
            directionNormInf: directionNormInf, stepLength: stepLength,
            previousLoss: previousLoss, gradient: gradient,
            trials: trialGradients.map { .init(number: $0.trial, gradient: $0.gradient) },
            startGradientSquared: startGradientSquared, directionSquared: directionSquared,
            predictedSlope: predictedSlope,
            pairs: history.pairs.map { .init(number: $0.number, sy: $0.sy, yy: $0.yy) },
            pairsMade: history.pairsMade, initialScale: history.initialScale)
    }

    /// Resumes where a snapshot was taken. A snapshot from anywhere may be given: one that is
    /// accepted can be driven by any events.
    /// - Throws: Which part of the snapshot is wrong.
    public init(_ snapshot: RemoteSnapshot) throws(SnapshotError) {
        try snapshot.validate()
        numerics = snapshot.numerics
        options = snapshot.options
        historySize = snapshot.historySize
        unitRoundoff = snapshot.unitRoundoff
        iterationCount = snapshot.iterationCount
        evaluationCount = snapshot.evaluationCount
        loss = snapshot.loss
        command = snapshot.command
        phase = snapshot.phase
        progress = snapshot.progress
        carried = snapshot.carried
        gradientNormInf = snapshot.gradientNormInf
        directionNormInf = snapshot.directionNormInf
        stepLength = snapshot.stepLength
        previousLoss = snapshot.previousLoss
        gradient = snapshot.gradient
        for trial in snapshot.trials { trialGradients.add(trial.gradient, ofTrial: trial.number) }
        startGradientSquared = snapshot.startGradientSquared
        directionSquared = snapshot.directionSquared
        predictedSlope = snapshot.predictedSlope
        history = CurvatureHistory(
            pairs: snapshot.pairs.map {
                CurvaturePair(
                    number: $0.number, dtype: .float64, storage: PairStorage([]), sy: $0.sy,
                    yy: $0.yy)
            },
            pairsMade: snapshot.pairsMade, initialScale: snapshot.initialScale)
    }
}

extension RemoteSnapshot {
    fileprivate func validate() throws(SnapshotError) {
        guard 1...numericsVersion ~= numerics else { throw .newerNumerics(numerics) }
        try options.validate("options")
        try progress.validate("progress")
        try phase.validate("phase", progress.options)
        try carried.validate("memory")
        try requireCount(iterationCount, "iterationCount")
        try requireCount(evaluationCount, "evaluationCount")
        try requireCount(command.number, "command.number")
        try requireCount(historySize, from: 1, upTo: storedPairNumberMax, "historySize")
        try require(
            unitRoundoff > 0 && unitRoundoff < 1, "unitRoundoff", "must be between 0 and 1")
        try validatePairs()
        try require(
            gradient.has(pairs: pairs.count), "gradient",
            "must have a product for each of the \(pairs.count) pairs")
        for trial in trials {
            try require(
                trial.gradient.has(pairs: pairs.count), "trials/\(trial.number)",
                "must have a product for each of the \(pairs.count) pairs")
        }
        try validatePending()
    }

    private func validatePairs() throws(SnapshotError) {
        try requireCount(pairsMade, upTo: storedPairNumberMax, "pairsMade")
        try requireCount(pairs.count, upTo: historySize, "pairs")
        var newest = 0
        for (index, pair) in pairs.enumerated() {
            let name = "pairs/\(pair.number)"
            try require(
                pair.number > newest && pair.number <= pairsMade, name,
                "must be numbered from \(newest + 1) to \(pairsMade)")
            // The recursion reads a row of the columns for every pair that is older.
            try require(
                pair.sy.count > index && pair.sy.count == pair.yy.count, name,
                "has \(pair.sy.count) products with pairs, and \(index) pairs are older")
            newest = pair.number
        }
    }

    /// Checks what a pending evaluation needs.
    private func validatePending() throws(SnapshotError) {
        if carried.isEvaluated { try require(loss != nil, "loss", "must be there") }
        guard phase != .idle else { return }
        try require(command.stepLength != nil, "command.stepLength", "must be there in a step")
        guard case .searching(let search) = phase else { return }
        try require(loss != nil, "loss", "must be there while a trial is pending")
        for trial in search.retainedTrials where trial > 0 {
            try require(
                trials.contains { $0.number == trial }, "trials/\(trial)",
                "must be there, as it may be accepted")
        }
        if case .budgeted(let budgeted) = search, case .trial = progress.bestLocation {
            try require(
                budgeted.best.trial > 0, "progress.bestLocation",
                "is a trial, and the search has found none that is better than its start")
        }
    }
}
