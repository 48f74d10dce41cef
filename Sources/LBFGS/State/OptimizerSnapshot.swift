/// The largest number of a pair that is read. It is multiplied by small numbers.
public let storedPairNumberMax = 1 << 53

/// The whole state of an ``Optimizer``, the middle of a line search included, in parts that can be
/// stored: scalars, vectors by name, and curvature pairs, which never change.
///
/// What follows from the rest is not in it. The trial point is x + t d, and is computed again with
/// the same bits.
public struct OptimizerSnapshot<Scalar: EngineScalar>: Equatable, Sendable {
    /// The scalars of a snapshot. Opaque: they are only to be stored, by way of `Codable`, and read
    /// back. The coding keys are the names of the stored format.
    public struct Scalars: Equatable, Sendable, Codable {
        var options: Options
        var iterationCount: Int
        var evaluationCount: Int
        var loss: Double?
        var phase: StepPhase
        var progress: StepProgress
        var gradientNormInf: Double
        var directionNormInf: Double
        var stepLength: Double
        var previousLoss: Double?
        var alphas: [Double]?
        var initialScale: Double
        var pairsMade: Int
        var frozenRanges: [Range<Int>]
        /// Absent in snapshots of engines without robust mode.
        var carried: CarriedState?
        /// Absent in snapshots of engines whose ``numericsVersion`` was 1.
        var numerics: Int?
        /// Absent unless there have been bounds or an L1 term.
        var box: BoxScalars?

        /// The options of the next step, and those of the running or the last one.
        public var optionsInUse: [Options] { [options, progress.options] }
        /// The largest of the counters, which grow with every event.
        public var largestCount: Int {
            let trials =
                switch phase {
                case .idle, .evaluatingStart, .evaluatingFixedStep: 0
                case .searching(.torch(let search)): search.trials
                case .searching(.budgeted(let search)): search.trials
                }
            return max(
                max(iterationCount, evaluationCount, pairsMade, trials),
                max(progress.iterations, progress.evaluations),
                progress.stagnation?.iterations ?? 0)
        }
        /// How many coefficients of the last direction there are.
        public var alphaCount: Int { alphas?.count ?? 0 }

        /// Checks what the scalars alone must have, as ``Optimizer/init(_:)`` does. O(1).
        /// - Throws: The first field with a value that no state has.
        public func validate() throws(SnapshotError) {
            let newest = box == nil ? numericsVersion : numericsVersionWithBounds
            guard 1...newest ~= numerics ?? 1 else { throw .newerNumerics(numerics ?? 1) }
            if let norm = box?.refusedStepNorm {
                try requireStepLength(norm, "bounds.refusedStepNorm")
            }
            try options.validate("options")
            try progress.validate("progress")
            try phase.validate("phase", progress.options)
            try carried?.validate("memory")
            try requireCount(iterationCount, "iterationCount")
            try requireCount(evaluationCount, "evaluationCount")
            try requireCount(pairsMade, upTo: storedPairNumberMax, "pairsMade")
        }

        private enum CodingKeys: String, CodingKey {
            case options, iterationCount, evaluationCount, loss, phase, progress
            case gradientNormInf, directionNormInf, stepLength, previousLoss, alphas
            case initialScale, pairsMade, frozenRanges
            case carried = "memory"
            case numerics
            case box = "bounds"
        }
    }

    /// Bounds and weights that are the same for all parameters; vectors are among the vectors.
    struct BoxScalars: Equatable, Sendable, Codable {
        var lower: Double?
        var upper: Double?
        var l1: Double?
        var refusedStepNorm: Double?
    }

    /// The scalars.
    public var scalars: Scalars
    /// The vectors by name, n numbers each. Empty vectors are left out.
    public var vectors: [String: [Scalar]]
    /// The curvature pairs, oldest first.
    public var pairs: [CurvaturePair<Scalar>]

    /// Puts together a snapshot from its stored parts.
    public init(
        scalars: Scalars, vectors: [String: [Scalar]], pairs: [CurvaturePair<Scalar>]
    ) {
        self.scalars = scalars
        self.vectors = vectors
        self.pairs = pairs
    }
}
