internal import SessionModel

// A vector as a safetensors file: one tensor a parameter, named as it is or by its position, in the
// session's dtype and with its shape.

extension Safetensors {
    /// As many names as a state dict may have.
    static func headerEnd(_ first: [UInt8], of count: Int) throws(WireError) -> Int {
        try headerEnd(first, of: count, headerBytesMax: StateDict.headerBytesMax)
    }

    /// What the header of a file of `count` bytes says of its vectors. `__metadata__`, where torch
    /// names itself, is ignored.
    ///
    /// - Parameter head: All bytes before the numbers.
    static func vectorHeader(
        _ head: ArraySlice<UInt8>, of count: Int
    ) throws(WireError) -> VectorHeader {
        var tensors: [VectorHeader.Tensor] = []
        for place in try Header<Number>(head: head, of: count).places {
            tensors.append(VectorHeader.Tensor(name: place.name, header: try place.tensorHeader))
        }
        return .tensors(tensors)
    }
}

extension Safetensors.Place where Number == Safetensors.Number {
    fileprivate var tensorHeader: TensorHeader {
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
