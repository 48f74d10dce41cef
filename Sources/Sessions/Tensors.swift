// Vectors in forms that say more than their numbers: in which precision they are, and which shapes
// they have. All of it must be as it is in the session: nothing is rounded or reshaped in silence.

/// A tensor as a client sends it.
public struct TensorInput: Equatable, Sendable {
    public var dtype: DType
    /// Empty for a scalar.
    public var shape: [Int]
    /// Row-major and little-endian.
    public let bytes: ArraySlice<UInt8>

    /// - Precondition: as many bytes as the shape needs.
    public init(dtype: DType, shape: [Int], bytes: ArraySlice<UInt8>) {
        precondition(bytes.count == shape.reduce(dtype.size, *), "\(shape): \(bytes.count) bytes")
        self.dtype = dtype
        self.shape = shape
        self.bytes = bytes
    }

    var count: Int { bytes.count / dtype.size }
}

extension ParameterSpec {
    /// Its name or, as parameters without one are called where names are needed, its position.
    public func name(at index: Int) -> String { name ?? String(index) }

    /// What a safetensors file calls that which is no tensor.
    static let reservedName = "__metadata__"
    static let isReserved = "must not be \(reservedName), which safetensors keeps for itself"
}

/// Zeros, but for the bytes that are given with the position of their first number.
/// - Precondition: they are whole numbers and end within `count`.
private func gathered<Number: PlainNumber>(
    _ pieces: [(start: Int, bytes: ArraySlice<UInt8>)], count: Int
) -> [Number] {
    var values = [Number](repeating: .zero, count: count)
    // Sound: each piece ends within the destination, which the slicing checks, and every bit
    // pattern is a valid float.
    unsafe values.withUnsafeMutableBytes { destination in
        for piece in pieces {
            unsafe piece.bytes.withUnsafeBytes { source in
                let start = piece.start * MemoryLayout<Number>.stride
                let place = unsafe UnsafeMutableRawBufferPointer(
                    rebasing: destination[start..<start + source.count])
                unsafe place.copyMemory(from: source)
            }
        }
    }
    return values
}

extension SessionState {
    /// An array of all numbers, whatever its shape.
    func vector(_ array: TensorInput) throws(SessionError) -> Vector {
        try checkPrecision(array)
        guard array.count == layout.count else {
            throw .invalid([
                FieldError(
                    field: "shape",
                    reason: "\(array.shape) has \(array.count) numbers; must have \(layout.count)")
            ])
        }
        return vector([(0, array.bytes)], count: array.count)
    }

    /// An array for an evaluation that is past: see `pastGradients`.
    func pastVector(_ array: TensorInput) throws(SessionError) -> Vector {
        try checkPrecision(array)
        return vector([(0, array.bytes)], count: array.count)
    }

    private func checkPrecision(_ array: TensorInput) throws(SessionError) {
        guard array.dtype != dtype else { return }
        throw .invalid([FieldError(field: "dtype", reason: isNotOurs(array.dtype))])
    }

    private func isNotOurs(_ other: DType) -> String {
        "is \(other.rawValue); this session's numbers are \(dtype.rawValue)"
    }

    /// Puts named tensors in parameter order; absent ones are zeros, unless all must be there.
    func vector(
        _ tensors: [String: TensorInput], of specs: ArraySlice<ParameterSpec>, isComplete: Bool
    ) throws(SessionError) -> Vector {
        var errors: [FieldError] = []
        var pieces: [(start: Int, bytes: ArraySlice<UInt8>)] = []
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
                pieces.append((count, tensor.bytes))
            } else if isComplete {
                errors.append(FieldError(field: name, reason: "is missing"))
            }
            count += spec.count
        }
        errors += unknown.sorted().map {
            FieldError(field: $0, reason: "is no parameter of this session")
        }
        guard errors.isEmpty else { throw .invalid(errors) }
        return vector(pieces, count: count)
    }

    private func vector(
        _ pieces: [(start: Int, bytes: ArraySlice<UInt8>)], count: Int
    ) -> Vector {
        switch dtype {
        case .float64: .float64(gathered(pieces, count: count))
        case .float32: .float32(gathered(pieces, count: count))
        }
    }
}
