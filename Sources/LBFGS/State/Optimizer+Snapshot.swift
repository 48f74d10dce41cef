/// The names of the stored vectors.
private enum VectorName {
    static let parameters = "x"
    static let gradient = "g"
    static let direction = "d"
    static let previousGradient = "previous_g"
    static let bestPoint = "best"
    static let bestGradient = "best_g"
    static let trialPrefix = "trial/"
    static let lower = "lower"
    static let upper = "upper"
    static let l1 = "l1"
    static let baseFace = "base_face"
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
        vectors[VectorName.lower] = vector(box.bounds.lower)
        vectors[VectorName.upper] = vector(box.bounds.upper)
        vectors[VectorName.l1] = vector(box.l1.weights)
        vectors[VectorName.baseFace] = box.baseFace.map { Scalar($0) }
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
                frozenRanges: frozenRanges, carried: carried, numerics: numerics,
                box: box.isUsed ? boxScalars : nil),
            vectors: vectors.filter { !$0.value.isEmpty }, pairs: history.pairs)
    }

    /// Resumes where a snapshot was taken. O(n), for the trial point. A snapshot from anywhere may
    /// be given: one that is accepted can be driven by any events.
    /// - Parameter snapshot: Its parts are used as they are, and shared.
    /// - Throws: Which part of the snapshot is wrong.
    public init(_ snapshot: OptimizerSnapshot<Scalar>) throws(SnapshotError) {
        let scalars = snapshot.scalars
        try scalars.validate()
        guard let x = snapshot.vectors[VectorName.parameters], !x.isEmpty else {
            throw .missingVector(VectorName.parameters)
        }
        try require(Scalar.isFinite(x), VectorName.parameters, "must be finite")
        for (name, vector) in snapshot.vectors where vector.count != x.count {
            throw .wrongLength(name, expected: x.count, got: vector.count)
        }
        try snapshot.validatePairs(count: x.count)
        numerics = scalars.numerics ?? 1
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
        for (index, range) in frozenRanges.enumerated() {
            try require(
                range.lowerBound >= 0 && range.upperBound <= x.count, "frozenRanges[\(index)]",
                "must lie within the \(x.count) parameters, not be \(range)")
        }
        carried = scalars.carried ?? .init()
        if let stored = scalars.box { box = BoxState(stored, snapshot.vectors) }
        try validateBox()
        for (name, vector) in snapshot.vectors where name.hasPrefix(VectorName.trialPrefix) {
            let text = name.dropFirst(VectorName.trialPrefix.count)
            guard let trial = Int(text), "\(trial)" == text else {
                throw .invalid(field: name, reason: "has no number of a trial")
            }
            trialGradients.add(vector, ofTrial: trial)
        }
        try validateVectors()
        try placePendingTrial()
    }

    /// Checks bounds and weights as their initializers do, and that x is within them.
    private func validateBox() throws(SnapshotError) {
        guard !box.isEmpty else { return }
        try require(options.mode == .robust, "options.mode", "must be robust, as there are bounds")
        try require(
            !isStepping || progress.options.mode == .robust, "progress.options.mode",
            "must be robust, as there are bounds")
        for (index, value) in parameters.enumerated() {
            let (lower, upper) = (box.bounds.lower(at: index), box.bounds.upper(at: index))
            let weight = box.l1.weight(at: index)
            try require(
                lower <= upper && lower < .infinity && upper > -.infinity, VectorName.lower,
                "and upper leave no number at index \(index)")
            try require(
                weight >= 0 && weight.isFinite, VectorName.l1,
                "must be a finite number of at least 0 at index \(index)")
            try require(
                lower <= value && value <= upper, VectorName.parameters,
                "is outside its bounds at index \(index)")
        }
    }

    /// Checks that the vectors are there which the scalars imply.
    private func validateVectors() throws(SnapshotError) {
        // The next iteration forms a pair of them.
        if !previousGradient.isEmpty, direction.isEmpty {
            throw .missingVector(VectorName.direction)
        }
        if carried.isEvaluated, loss != nil, gradient.isEmpty {
            throw .missingVector(VectorName.gradient)
        }
        guard isStepping else { return }
        switch progress.bestLocation {
        case .current: break
        case .trial:
            if direction.isEmpty { throw .missingVector(VectorName.direction) }
        case .saved:
            if bestPoint.isEmpty { throw .missingVector(VectorName.bestPoint) }
            try require(Scalar.isFinite(bestPoint), VectorName.bestPoint, "must be finite")
        }
    }

    /// Computes the trial point of a trial that is pending.
    private mutating func placePendingTrial() throws(SnapshotError) {
        let pending: Double
        switch phase {
        case .idle, .evaluatingStart: return
        case .evaluatingFixedStep(let stepLength): pending = stepLength
        case .searching(let search):
            pending = search.pendingStepLength
            for trial in search.retainedTrials where trial > 0 && trialGradients[trial] == nil {
                throw .missingVector("\(VectorName.trialPrefix)\(trial)")
            }
            trialGradients.keep(search.retainedTrials)
            // A step that is stopped moves to the search's best trial.
            if case .budgeted(let budgeted) = search, case .trial = progress.bestLocation {
                try require(
                    budgeted.best.trial > 0, "progress.bestLocation",
                    "is a trial, and the search has found none that is better than its start")
            }
        }
        if direction.isEmpty { throw .missingVector(VectorName.direction) }
        if gradient.isEmpty { throw .missingVector(VectorName.gradient) }
        try require(loss != nil, "loss", "must be there while a trial is pending")
        try require(Scalar.isFinite(direction), VectorName.direction, "must be finite")
        try require(
            directionNormInf.isFinite, "directionNormInf", "must be finite while a trial is pending"
        )
        if case .trial(let stepLength) = progress.bestLocation {
            try require(
                Scalar.isFinite(point(at: stepLength)), "progress.bestLocation.trial.stepLength",
                "leads to a point that is not finite")
        }
        trialPoint = point(at: pending)
        try require(Scalar.isFinite(trialPoint), "phase", "has a trial point that is not finite")
    }
}

extension OptimizerSnapshot {
    /// Checks the pairs' order and lengths. The recursion reads a row of each pair's columns for
    /// every pair that is older.
    /// - Parameter count: n.
    fileprivate func validatePairs(count: Int) throws(SnapshotError) {
        var newest = 0
        for (index, pair) in pairs.enumerated() {
            let name = "pair/\(pair.number)"
            guard pair.count == count else {
                throw .wrongLength(name, expected: count, got: pair.count)
            }
            try require(
                pair.number > newest && pair.number <= scalars.pairsMade, name,
                "must be numbered from \(newest + 1) to \(scalars.pairsMade)")
            try require(
                pair.sy.count > index, name,
                "has \(pair.sy.count) products with pairs, and \(index) pairs are older")
            newest = pair.number
        }
    }
}

extension Optimizer {
    private var boxScalars: OptimizerSnapshot<Scalar>.BoxScalars {
        .init(
            lower: number(box.bounds.lower), upper: number(box.bounds.upper),
            l1: number(box.l1.weights), refusedStepNorm: box.refusedStepNorm)
    }

    private func vector(_ values: ParameterValues<Scalar>) -> [Scalar] {
        if case .each(let vector) = values { vector } else { [] }
    }

    private func number(_ values: ParameterValues<Scalar>) -> Double? {
        if case .uniform(let value) = values { Double(value) } else { nil }
    }
}

extension BoxState {
    init(_ stored: OptimizerSnapshot<Scalar>.BoxScalars, _ vectors: [String: [Scalar]]) {
        func values(_ name: String, _ number: Double?) -> ParameterValues<Scalar> {
            if let vector = vectors[name] { return .each(vector) }
            return number.map { .uniform(Scalar($0)) } ?? .none
        }
        bounds = Bounds(
            unchecked: values(VectorName.lower, stored.lower),
            values(VectorName.upper, stored.upper))
        l1 = L1Weights(unchecked: values(VectorName.l1, stored.l1))
        baseFace = vectors[VectorName.baseFace]?.map { $0 == 0 ? 0 : 1 } ?? []
        refusedStepNorm = stored.refusedStepNorm
        isUsed = true
    }
}
