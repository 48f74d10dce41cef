internal import LBFGS

extension Vector {
    /// max |v_i|; NaN and infinity propagate.
    var normInf: Double {
        switch self {
        case .float64(let values): Double.normInf(values)
        case .float32(let values): Float.normInf(values)
        }
    }

    var negated: Vector {
        switch self {
        case .float64(let values): .float64(values.map { -$0 })
        case .float32(let values): .float32(values.map { -$0 })
        }
    }

    var isFinite: Bool {
        switch self {
        case .float64(let values): Double.isFinite(values)
        case .float32(let values): Float.isFinite(values)
        }
    }
}
