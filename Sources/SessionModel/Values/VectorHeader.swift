/// What the header of a binary body says of one tensor.
public struct TensorHeader: Equatable, Sendable {
    /// The largest number of dimensions: NumPy's.
    public static let rankMax = 64

    public var dtype: DType
    /// Empty for a scalar.
    public var shape: [Int]

    /// - Precondition: The bytes of all its numbers can be counted in an `Int`.
    public init(dtype: DType, shape: [Int]) {
        self.dtype = dtype
        self.shape = shape
    }

    package var count: Int { shape.reduce(1, *) }
    package var byteCount: Int { count * dtype.size }
}

/// What a binary body says of the vector that it holds, before its numbers. The numbers follow
/// without a gap.
public enum VectorHeader: Equatable, Sendable {
    public struct Tensor: Equatable, Sendable {
        public var name: String
        public var header: TensorHeader

        public init(name: String, header: TensorHeader) {
            self.name = name
            self.header = header
        }
    }

    /// No header: bare numbers of all parameters, in the session's dtype.
    case octets(byteCount: Int)
    /// One array of all parameters.
    case array(TensorHeader)
    /// Named tensors, in the order of their numbers, each name once.
    case tensors([Tensor])

    /// Bytes of all numbers.
    public var byteCount: Int {
        switch self {
        case .octets(let byteCount): byteCount
        case .array(let header): header.byteCount
        case .tensors(let tensors): tensors.reduce(0) { $0 + $1.header.byteCount }
        }
    }
}

/// Why a binary body cannot be the vector that its session expects.
public struct VectorMismatch: Error, Equatable, Sendable {
    public var errors: [FieldError]

    package init(errors: [FieldError]) {
        self.errors = errors
    }
}
