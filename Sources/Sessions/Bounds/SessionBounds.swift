internal import LBFGS

/// Bounds and L1 weights in a session's precision, checked.
enum SessionBounds: Equatable, Sendable {
    case float64(Bounds<Double>, L1Weights<Double>)
    case float32(Bounds<Float>, L1Weights<Float>)

    /// Rounds bounds inwards and weights to the nearest. O(n).
    /// - Parameter count: The number of parameters.
    init(_ input: BoundsInput, count: Int, as dtype: DType) throws(BoundsError) {
        switch dtype {
        case .float64:
            self = .float64(
                try Bounds(lower: input.lower, upper: input.upper, count: count),
                try L1Weights(input.l1, count: count))
        case .float32:
            self = .float32(
                try Bounds(lower: input.lower, upper: input.upper, count: count),
                try L1Weights(input.l1, count: count))
        }
    }

    var isEmpty: Bool {
        switch self {
        case .float64(let bounds, let l1): bounds.isEmpty && l1.isEmpty
        case .float32(let bounds, let l1): bounds.isEmpty && l1.isEmpty
        }
    }

    var hasL1: Bool {
        switch self {
        case .float64(_, let l1): !l1.isEmpty
        case .float32(_, let l1): !l1.isEmpty
        }
    }

    /// The same numbers in Float64. O(n).
    var input: BoundsInput {
        switch self {
        case .float64(let bounds, let l1):
            BoundsInput(lower: bounds.lower, upper: bounds.upper, l1: l1.weights)
        case .float32(let bounds, let l1):
            BoundsInput(
                lower: bounds.lower.doubles, upper: bounds.upper.doubles, l1: l1.weights.doubles)
        }
    }

    var hasBounds: Bool {
        switch self {
        case .float64(let bounds, _): !bounds.isEmpty
        case .float32(let bounds, _): !bounds.isEmpty
        }
    }

    /// How many numbers of a vector in the same precision are outside the bounds. O(n).
    func outsideCount(of vector: Vector) -> Int {
        switch (self, vector) {
        case (.float64(let bounds, _), .float64(let values)): bounds.projected(values).moved
        case (.float32(let bounds, _), .float32(let values)): bounds.projected(values).moved
        case (.float64, .float32), (.float32, .float64): 0
        }
    }

    var footprint: BoundsFootprint {
        switch self {
        case .float64(let bounds, let l1): BoundsFootprint(bounds, l1)
        case .float32(let bounds, let l1): BoundsFootprint(bounds, l1)
        }
    }
}

extension ParameterValues<Float> {
    fileprivate var doubles: ParameterValues<Double> {
        switch self {
        case .none: .none
        case .uniform(let value): .uniform(Double(value))
        case .each(let values): .each(values.map(Double.init))
        }
    }
}

/// What bounds and weights add to the memory of a session.
struct BoundsFootprint: Equatable {
    /// How many of the three are vectors: a number for all parameters takes no memory.
    var vectors = 0
    var hasL1 = false
    var isEmpty = true

    init() {}

    fileprivate init<Scalar>(_ bounds: Bounds<Scalar>, _ l1: L1Weights<Scalar>) {
        vectors = [bounds.lower, bounds.upper, l1.weights].count { $0.count != nil }
        hasL1 = !l1.isEmpty
        isEmpty = bounds.isEmpty && l1.isEmpty
    }

    /// Of the vectors that a stored state has.
    init(vectorsNamed names: Set<String>) {
        vectors = BoundsField.allCases.count { names.contains($0.rawValue) }
        hasL1 = names.contains(BoundsField.l1.rawValue)
        isEmpty = vectors == 0 && !names.contains("base_face")
    }

    /// Before any memory is allocated.
    init(_ inputs: [BoundsInput]) {
        isEmpty = inputs.allSatisfy(\.isEmpty)
        hasL1 = !inputs.allSatisfy { $0.l1.isNone }
        for field in BoundsField.allCases {
            let values = inputs.map { $0[field] }
            let isVector = values.contains {
                guard case (.uniform(let value), .uniform(let first)) = ($0, values[0]) else {
                    return !$0.isNone || !values[0].isNone
                }
                return value != first
            }
            if isVector { vectors += 1 }
        }
    }

    /// Bytes for each parameter: the vectors; two octets that say which face a parameter is on and
    /// which one the Gram matrices are of; the list of those that stop on the way to the Cauchy
    /// point, which may be all; and the pseudo-gradient of an L1 term.
    func bytesPerNumber(_ dtype: DType) -> Int {
        isEmpty ? 0 : (vectors + (hasL1 ? 1 : 0)) * dtype.size + 2 + 16
    }
}
