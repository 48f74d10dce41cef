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
        let places = TensorPlaces(specs: layout.parameters[...], dtype: dtype)
        try fitting { () throws(TensorMismatch) in try places.check(array.head) }
        return vector([(0, array.bytes)], count: array.head.count)
    }

    /// An array for an evaluation that is past: see `pastGradients`.
    func pastVector(_ array: TensorInput) throws(SessionError) -> Vector {
        let places = TensorPlaces(specs: layout.parameters[...], dtype: dtype)
        try fitting { () throws(TensorMismatch) in try places.checkPrecision(array.head) }
        return vector([(0, array.bytes)], count: array.head.count)
    }

    /// Puts named tensors in parameter order; absent ones are zeros, unless all must be there.
    func vector(
        _ tensors: [String: TensorInput], of specs: ArraySlice<ParameterSpec>, isComplete: Bool
    ) throws(SessionError) -> Vector {
        let places = TensorPlaces(specs: specs, dtype: dtype)
        let starts = try fitting { () throws(TensorMismatch) in
            try places.starts(of: tensors.mapValues(\.head), isComplete: isComplete)
        }
        var pieces: [(start: Int, bytes: ArraySlice<UInt8>)] = []
        for (name, start) in starts {
            if let tensor = tensors[name] { pieces.append((start, tensor.bytes)) }
        }
        return vector(pieces, count: places.count)
    }

    private func fitting<Value>(
        _ check: () throws(TensorMismatch) -> Value
    ) throws(SessionError) -> Value {
        do {
            return try check()
        } catch {
            throw .invalid(error.errors)
        }
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
