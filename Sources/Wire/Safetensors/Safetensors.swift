public import SessionModel

/// Tensors with names, in the safetensors format (Hugging Face, 2022): eight bytes of header
/// length, little-endian; a JSON object that gives each tensor's type, shape and place, and may
/// hold strings under `__metadata__`; then the tensors' bytes, row-major and little-endian, without
/// a gap. Nothing in it can run, unlike a pickle.
public struct Safetensors: Equatable, Sendable {
    /// In the order of their bytes.
    public var tensors: [Tensor]
    /// The strings under `__metadata__`.
    public var metadata: [String: String]

    public init(tensors: [Tensor], metadata: [String: String] = [:]) {
        self.tensors = tensors
        self.metadata = metadata
    }

    /// The header's key of `metadata`; no tensor may have this name.
    static let metadataKey = "__metadata__"
}

extension Safetensors {
    /// The supported types of numbers. All are widened to Float64 exactly. The format's other types
    /// (integers, booleans, 8-bit floats) can't be part of an optimizer's state.
    public enum Number: String, Sendable, CaseIterable {
        case float64 = "F64"
        case float32 = "F32"
        case float16 = "F16"
        case bfloat16 = "BF16"

        /// Bytes a number.
        public var size: Int {
            switch self {
            case .float64: 8
            case .float32: 4
            case .float16, .bfloat16: 2
            }
        }
    }

    public struct Tensor: Equatable, Sendable {
        public var name: String
        public let number: Number
        /// Empty for a scalar.
        public let shape: [Int]
        /// The numbers' bytes, as many as `shape` requires.
        let bytes: ArraySlice<UInt8>

        /// - Precondition: `bytes` has the length that the shape requires.
        init(name: String, number: Number, shape: [Int], bytes: ArraySlice<UInt8>) {
            precondition(bytes.count == shape.reduce(number.size, *), "\(name): \(bytes.count)")
            self.name = name
            self.number = number
            self.shape = shape
            self.bytes = bytes
        }

        /// A vector. float32 rounds the values; those of a float32 session stay exact.
        public init(name: String, vector: [Double], as dtype: DType) {
            self.init(
                name: name, number: Number(dtype), shape: [vector.count],
                bytes: Vector(vector, as: dtype).bytes[...])
        }

        /// A scalar in Float64.
        public init(name: String, scalar: Double) {
            self.init(
                name: name, number: .float64, shape: [],
                bytes: Vector.float64([scalar]).bytes[...])
        }

        /// The values, row-major. O(count), with a copy of the bytes.
        public var doubles: [Double] {
            switch number {
            case .float64: vector(.float64)
            case .float32: vector(.float32)
            case .float16: halves { Double(Float16(bitPattern: $0)) }
            case .bfloat16: halves { Double(Float(bitPattern: UInt32($0) << 16)) }
            }
        }

        private func vector(_ dtype: DType) -> [Double] {
            guard let vector = Vector(bytes: Array(bytes), as: dtype) else {
                preconditionFailure("\(name) has \(bytes.count) bytes")
            }
            return vector.doubles
        }

        private func halves(_ widened: (UInt16) -> Double) -> [Double] {
            stride(from: bytes.startIndex, to: bytes.endIndex, by: 2).map {
                widened(UInt16(bytes[$0]) | UInt16(bytes[$0 + 1]) << 8)
            }
        }
    }
}

extension Safetensors.Number {
    init(_ dtype: DType) {
        switch dtype {
        case .float64: self = .float64
        case .float32: self = .float32
        }
    }
}
