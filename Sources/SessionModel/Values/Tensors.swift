// Whether tensors are as a session expects them, and where their numbers belong, as their heads
// tell: before the numbers are there, if need be.

/// What is said of a tensor before its numbers.
public struct TensorHeader: Equatable, Sendable {
    public var dtype: DType
    /// Empty for a scalar.
    public var shape: [Int]

    /// - Precondition: the bytes of all its numbers can be counted in an `Int`.
    public init(dtype: DType, shape: [Int]) {
        self.dtype = dtype
        self.shape = shape
    }

    package var count: Int { shape.reduce(1, *) }
    package var byteCount: Int { count * dtype.size }
}

// Vectors in forms that say more than their numbers: in which precision they are, and which shapes
// they have. All of it must be as it is in the session.

/// A tensor as a client sends it.
public struct TensorInput: Equatable, Sendable {
    public let head: TensorHeader
    /// Row-major and little-endian.
    public let bytes: ArraySlice<UInt8>

    /// - Precondition: as many bytes as the shape needs.
    public init(_ head: TensorHeader, bytes: ArraySlice<UInt8>) {
        precondition(bytes.count == head.byteCount, "\(head): \(bytes.count) bytes")
        self.head = head
        self.bytes = bytes
    }

    public var dtype: DType { head.dtype }
    public var shape: [Int] { head.shape }
}

/// What a body that will be a vector says before its numbers, which follow without a gap.
public enum VectorHeader: Equatable, Sendable {
    public struct Tensor: Equatable, Sendable {
        public var name: String
        public var head: TensorHeader

        public init(name: String, head: TensorHeader) {
            self.name = name
            self.head = head
        }
    }

    /// In the order of their numbers, each name once.
    case tensors([Tensor])
    /// All parameters one after the other.
    case array(TensorHeader)
}

/// Why tensors can't be the vector that is expected.
public struct TensorMismatch: Error, Equatable, Sendable {
    public var errors: [FieldError]

    package init(errors: [FieldError]) {
        self.errors = errors
    }
}
