public import Sessions

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
        // As many names as a state dict may have.
        let file = try Safetensors(bytes: bytes, headerBytesMax: StateDict.headerBytesMax)
        var tensors: [String: TensorInput] = [:]
        for tensor in file.tensors {
            let dtype: DType
            switch tensor.number {
            case .float64: dtype = .float64
            case .float32: dtype = .float32
            case .float16, .bfloat16:
                throw .invalid(
                    "\(tensor.name).dtype", "is \(tensor.number.rawValue); vectors are F64 or F32")
            }
            tensors[tensor.name] = TensorInput(
                dtype: dtype, shape: tensor.shape, bytes: tensor.bytes)
        }
        return tensors
    }
}
