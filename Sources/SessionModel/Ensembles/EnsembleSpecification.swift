/// What an ensemble was created with. It never changes.
public struct EnsembleSpecification: Equatable, Sendable, Codable {
    public var name: String?
    public var labels: [String: String] = [:]
    public var dtype: DType = .float64
    public var parameters: [ParameterSpec]
    /// How many members it was created with.
    public var count: Int
    public var starts: StartDesign
    /// Where designed starts lie, and the unit of distances between points.
    public var box: SamplingBox?
    public var isMaximizing = false
    public var stop = EnsembleStopRule()
    public var stagnation: StagnationRule?
    public var basin: BasinRule?
    /// Seconds without a change of any member after which all of it is deleted; nil: never.
    public var expiresAfter: Int?

    public init(parameters: [ParameterSpec], count: Int, starts: StartDesign) {
        self.parameters = parameters
        self.count = count
        self.starts = starts
    }

    /// n: numbers of a member's parameters.
    public var parameterCount: Int { parameters.reduce(0) { $0 + $1.count } }

    /// Whether its sizes are possible and fit each other. Those of a stored one may be any: a
    /// checksum does not keep out a writer who computes it.
    package var hasPossibleSizes: Bool {
        var total = 0
        for spec in parameters {
            var size = 1
            for dimension in spec.shape {
                guard 0...Self.sizeMax ~= dimension, size * dimension <= Self.sizeMax else {
                    return false
                }
                size *= dimension
            }
            total += size
            guard total <= Self.sizeMax else { return false }
        }
        guard 1...Self.sizeMax ~= total, 1...Self.sizeMax ~= count else { return false }
        guard let box else { return true }
        return [box.lower.count, box.upper.count].allSatisfy { $0 == 1 || $0 == total }
    }

    /// Far above the limits. The product of two, in bytes, is an Int.
    private static let sizeMax = 1 << 28
}

/// How the starts were chosen. A design is a function of its fields, the box and the counts.
public enum StartDesign: Equatable, Sendable, Codable {
    /// The client gave them.
    case given
    /// The points `skip` ... of Sobol's sequence with the direction numbers of Joe and Kuo,
    /// digitally shifted by random numbers from `seed`; nil: not shifted.
    case sobol(seed: Int?, skip: Int)
    /// A Latin hypercube: each of K slices of each coordinate has one start.
    case latinHypercube(seed: Int)
    /// Independent and uniform.
    case uniform(seed: Int)
}

/// A box in which starts lie: `lower <= x <= upper`, a number for each of the parameters or one
/// for all.
public struct SamplingBox: Equatable, Sendable, Codable {
    public var lower: [Double]
    public var upper: [Double]

    /// - Precondition: each has one number or n.
    public init(lower: [Double], upper: [Double]) {
        self.lower = lower
        self.upper = upper
    }

    public func lower(_ index: Int) -> Double { lower.count == 1 ? lower[0] : lower[index] }
    public func upper(_ index: Int) -> Double { upper.count == 1 ? upper[0] : upper[index] }

    /// The part of a parameter tensor, as its bounds.
    package func bounds(of range: Range<Int>) -> BoundsInput {
        func part(_ values: [Double]) -> ParameterValues<Double> {
            values.count == 1 ? .uniform(values[0]) : .each(Array(values[range]))
        }
        return BoundsInput(lower: part(lower), upper: part(upper))
    }
}

/// When an ensemble is finished besides when every member has ended.
public struct EnsembleStopRule: Equatable, Sendable, Codable {
    /// As soon as the loss of a member is at or below it (at or above, when maximizing).
    public var target: Double?
    /// As soon as so many evaluations have been told to all members together.
    public var evaluations: Int?

    public init(target: Double? = nil, evaluations: Int? = nil) {
        self.target = target
        self.evaluations = evaluations
    }
}

/// Abandons a member whose loss has not fallen by more than `tolerance * max(1, |loss|)` within its
/// last `evaluations` evaluations, unless it is the best member.
public struct StagnationRule: Equatable, Sendable, Codable {
    public var evaluations: Int
    public var tolerance: Double

    public init(evaluations: Int, tolerance: Double) {
        self.evaluations = evaluations
        self.tolerance = tolerance
    }
}

/// Abandons a member that has come so near to another that it will end where that one does: their
/// losses differ by at most `loss * max(1, |loss of the other|)`, and no coordinate of their newest
/// accepted points by more than `distance` times the box's width there (by more than `distance`, if
/// there is no box or it has no width there).
public struct BasinRule: Equatable, Sendable, Codable {
    public var distance: Double
    public var loss: Double

    public init(distance: Double, loss: Double) {
        self.distance = distance
        self.loss = loss
    }
}
