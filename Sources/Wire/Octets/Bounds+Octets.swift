public import SessionModel

// Bounds as binary: the lower bounds of all parameters, then the upper ones, then the L1 weights if
// there are any. Without a bound a parameter has an infinite one.

extension BoundsView {
    private var fields: [BoundsField] {
        bounds.l1.isNone ? [.lower, .upper] : BoundsField.allCases
    }

    /// All numbers in the session's precision. O(n).
    public var vector: Vector {
        var numbers: [Double] = []
        numbers.reserveCapacity(fields.count * count)
        for field in fields { numbers += bounds[field].filled(count, missing: field.missing) }
        return Vector(numbers, as: dtype)
    }

    /// The header of a file in one of the binary forms; nil for any other. In NumPy's format the
    /// bounds are a matrix with a row for each of lower, upper and l1; in safetensors' each
    /// parameter has tensors `NAME.lower`, `NAME.upper` and `NAME.l1`.
    public func head(as form: Representation) -> [UInt8]? {
        if form == .npy { return Npy.head(count: count, rows: fields.count, dtype: dtype) }
        let tensors = fields.flatMap { field in
            specs.enumerated().map { index, spec in
                ParameterSpec(name: "\(spec.name(at: index)).\(field.rawValue)", shape: spec.shape)
            }
        }
        return form.vectorHead(of: tensors, dtype: dtype)
    }

    public var octetFields: [(name: String, value: String)] {
        [("Lbfgsd-Dtype", dtype.rawValue), ("Lbfgsd-Count", String(fields.count * count))]
            + (projected.map { [("Lbfgsd-Projected", String($0))] } ?? [])
    }
}
