// Whether tensors are as a session expects them, and where their numbers belong, as their heads
// tell: before the numbers are there, if need be.

/// What is said of a tensor before its numbers.
public struct TensorHead: Equatable, Sendable {
    public var dtype: DType
    /// Empty for a scalar.
    public var shape: [Int]

    /// - Precondition: the bytes of all its numbers can be counted in an `Int`.
    public init(dtype: DType, shape: [Int]) {
        self.dtype = dtype
        self.shape = shape
    }

    var count: Int { shape.reduce(1, *) }
    var byteCount: Int { count * dtype.size }
}

/// What a body that will be a vector says before its numbers, which follow without a gap.
public enum VectorHead: Equatable, Sendable {
    public struct Tensor: Equatable, Sendable {
        public var name: String
        public var head: TensorHead

        public init(name: String, head: TensorHead) {
            self.name = name
            self.head = head
        }
    }

    /// In the order of their numbers, each name once.
    case tensors([Tensor])
    /// All parameters one after the other.
    case array(TensorHead)
}

/// Why tensors can't be the vector that is expected.
public struct Misfit: Error, Equatable, Sendable {
    public var errors: [FieldError]
}

/// The parameters that tensors must fit: nothing is rounded or reshaped in silence.
struct TensorPlaces {
    var specs: ArraySlice<ParameterSpec>
    var dtype: DType

    /// n: numbers in all parameters together.
    var count: Int { specs.reduce(0) { $0 + $1.count } }

    /// An array of all numbers, whatever its shape.
    func check(_ array: TensorHead) throws(Misfit) {
        try checkPrecision(array)
        let count = count
        guard array.count == count else {
            throw Misfit(errors: [
                FieldError(
                    field: "shape",
                    reason: "\(array.shape) has \(array.count) numbers; must have \(count)")
            ])
        }
    }

    /// An array for an evaluation that is past: see `pastGradients`.
    func checkPrecision(_ array: TensorHead) throws(Misfit) {
        guard array.dtype != dtype else { return }
        throw Misfit(errors: [FieldError(field: "dtype", reason: isNotOurs(array.dtype))])
    }

    private func isNotOurs(_ other: DType) -> String {
        "is \(other.rawValue); this session's numbers are \(dtype.rawValue)"
    }

    /// Where each of the tensors begins among all numbers; absent ones are zeros, unless all must
    /// be there.
    func starts(
        of tensors: [String: TensorHead], isComplete: Bool
    ) throws(Misfit) -> [String: Int] {
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
        guard errors.isEmpty else { throw Misfit(errors: errors) }
        return starts
    }
}
