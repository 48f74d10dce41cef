public import SessionModel

// A vector as a safetensors file: one tensor a parameter, named as it is or by its position, in the
// session's dtype and with its shape.

extension GradientInput {
    public init(safetensors bytes: [UInt8]) throws(WireError) {
        self = .tensors(try Safetensors.vectors(in: bytes))
    }
}

extension ParametersInput {
    public init(safetensors bytes: [UInt8]) throws(WireError) {
        self = .tensors(try Safetensors.vectors(in: bytes))
    }
}

extension Safetensors {
    /// What is no tensor counts for nothing: torch's own files say there that they are torch's.
    fileprivate static func vectors(
        in bytes: [UInt8]
    ) throws(WireError) -> [String: TensorInput] {
        let start = try headEnd(bytes, of: bytes.count)
        var tensors: [String: TensorInput] = [:]
        for place in try Header(head: bytes[..<start], of: bytes.count).places {
            tensors[place.name] = TensorInput(
                try place.head,
                bytes: bytes[start + place.bytes.lowerBound..<start + place.bytes.upperBound])
        }
        return tensors
    }

    /// As many names as a state dict may have.
    static func headEnd(_ first: [UInt8], of count: Int) throws(WireError) -> Int {
        try headEnd(first, of: count, headerBytesMax: StateDict.headerBytesMax)
    }

    /// What the head of a file of `count` bytes says of its vectors.
    static func vectorHead(_ head: [UInt8], of count: Int) throws(WireError) -> VectorHeader {
        var tensors: [VectorHeader.Tensor] = []
        for place in try Header(head: head[...], of: count).places {
            tensors.append(VectorHeader.Tensor(name: place.name, head: try place.head))
        }
        return .tensors(tensors)
    }
}

extension Safetensors.Place {
    fileprivate var head: TensorHeader {
        get throws(WireError) {
            switch number {
            case .float64: TensorHeader(dtype: .float64, shape: shape)
            case .float32: TensorHeader(dtype: .float32, shape: shape)
            case .float16, .bfloat16:
                throw .invalid(
                    "\(name).dtype", "is \(number.rawValue); vectors are F64 or F32")
            }
        }
    }
}
