/// The parameters that tensors must fit: nothing is rounded or reshaped in silence.
struct TensorPlaces {
    var specs: ArraySlice<ParameterSpec>
    var dtype: DType

    /// n: numbers in all parameters together.
    var count: Int { specs.reduce(0) { $0 + $1.count } }

    /// An array of all numbers, whatever its shape.
    func check(_ array: TensorHeader) throws(TensorMismatch) {
        try checkPrecision(array)
        let count = count
        guard array.count == count else {
            throw TensorMismatch(errors: [
                FieldError(
                    field: "shape",
                    reason: "\(array.shape) has \(array.count) numbers; must have \(count)")
            ])
        }
    }

    /// An array for an evaluation that is past: see `pastGradients`.
    func checkPrecision(_ array: TensorHeader) throws(TensorMismatch) {
        guard array.dtype != dtype else { return }
        throw TensorMismatch(errors: [FieldError(field: "dtype", reason: isNotOurs(array.dtype))])
    }

    private func isNotOurs(_ other: DType) -> String {
        "is \(other.rawValue); this session's numbers are \(dtype.rawValue)"
    }

    /// Where each of the tensors begins among all numbers; absent ones are zeros, unless all must
    /// be there.
    func starts(
        of tensors: [String: TensorHeader], isComplete: Bool
    ) throws(TensorMismatch) -> [String: Int] {
        var errors: [FieldError] = []
        var starts: [String: Int] = [:]
        var unknown = Set(tensors.keys)
        var count = 0
        for (index, spec) in specs.enumerated() {
            let name = spec.name(at: index)
            unknown.remove(name)
            if let tensor = tensors[name] {
                if tensor.dtype != dtype {
                    errors.append(
                        FieldError(field: "\(name).dtype", reason: isNotOurs(tensor.dtype)))
                }
                if tensor.shape != spec.shape {
                    errors.append(
                        FieldError(
                            field: "\(name).shape",
                            reason: "is \(tensor.shape); must be \(spec.shape)"))
                }
                starts[name] = count
            } else if isComplete {
                errors.append(FieldError(field: name, reason: "is missing"))
            }
            count += spec.count
        }
        errors += unknown.sorted().map {
            FieldError(field: $0, reason: "is no parameter of this session")
        }
        guard errors.isEmpty else { throw TensorMismatch(errors: errors) }
        return starts
    }
}
