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

        private enum CodingKeys: String, CodingKey {
            case options, iterationCount, evaluationCount, loss, phase, progress
            case gradientNormInf, directionNormInf, stepLength, previousLoss, alphas
            case initialScale, pairsMade, frozenRanges
            case carried = "memory"
            case numerics
        }
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

/// A snapshot that no optimizer can have taken, and which part of it is wrong.
public enum SnapshotError: Error, Equatable, Sendable {
    /// A vector that the state needs is missing.
    case missingVector(String)
    /// A vector has another length than the parameters.
    case wrongLength(String, expected: Int, got: Int)
    /// The snapshot was taken by an engine with a newer ``numericsVersion``.
    case newerNumerics(Int)
}
