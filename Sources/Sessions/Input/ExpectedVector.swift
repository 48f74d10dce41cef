/// The vector that a body must hold, given the session's parameters and what the vector is for.
///
/// Nothing is rounded or reshaped silently: dtypes and shapes must be the session's.
public struct ExpectedVector: Equatable, Sendable {
    /// What is done with the vector.
    public enum Use: Equatable, Sendable {
        /// The result that the session waits for.
        case result
        /// A shard of that result.
        case shard
        /// A result that was told before, to be compared with what was told then.
        case repetition
        /// New values for the parameters, all of which must be present.
        case parameters
    }

    public var dtype: DType
    /// The parameters, which the vector has one after the other.
    public var specs: [ParameterSpec]
    public var count: Int
    public var use: Use

    var byteCount: Int { count * dtype.size }
}

// MARK: - Comparing headers

extension ExpectedVector {
    /// Where the numbers behind this header belong, or every reason why they belong nowhere.
    func placement(of header: VectorHeader) throws(VectorMismatch) -> Placement {
        switch header {
        case .octets(let byteCount): try checkByteCount(byteCount)
        case .array(let array): try checkArray(array)
        case .tensors(let tensors): return try placement(of: tensors)
        }
        return Placement(whole: header.byteCount)
    }

    /// Bare numbers. A repetition may have any length: it may have been told when fewer groups had
    /// joined, and comparing it with what was told then shows whether it is right.
    func checkByteCount(_ byteCount: Int) throws(VectorMismatch) {
        let isExpected =
            use == .repetition ? byteCount.isMultiple(of: dtype.size) : byteCount == self.byteCount
        guard !isExpected else { return }
        let error = FieldError(
            field: "body",
            reason: "has \(byteCount) bytes; \(count) \(dtype.rawValue) numbers have "
                + "\(self.byteCount)")
        throw VectorMismatch(errors: [error])
    }

    /// One array of all numbers, in any shape.
    private func checkArray(_ array: TensorHeader) throws(VectorMismatch) {
        guard array.dtype == dtype else {
            throw VectorMismatch(errors: [wrongDType(array, field: "dtype")])
        }
        guard array.count == count || use == .repetition else {
            let error = FieldError(
                field: "shape",
                reason: "\(array.shape) has \(array.count) numbers; must have \(count)")
            throw VectorMismatch(errors: [error])
        }
    }

    private func placement(
        of tensors: [VectorHeader.Tensor]
    ) throws(VectorMismatch) -> Placement {
        let headers = Dictionary(uniqueKeysWithValues: tensors.map { ($0.name, $0.header) })
        let starts = try starts(of: headers)
        let ranges = tensors.map { tensor in
            let start = (starts[tensor.name] ?? 0) * dtype.size
            return start..<start + tensor.header.byteCount
        }
        return Placement(ranges, of: byteCount)
    }

    /// The position of each tensor's first number in the vector.
    private func starts(
        of tensors: [String: TensorHeader]
    ) throws(VectorMismatch) -> [String: Int] {
        var errors: [FieldError] = []
        var starts: [String: Int] = [:]
        var unknown = Set(tensors.keys)
        var count = 0
        for (index, spec) in specs.enumerated() {
            let name = spec.name(at: index)
            unknown.remove(name)
            if let tensor = tensors[name] {
                if tensor.dtype != dtype {
                    errors.append(wrongDType(tensor, field: "\(name).dtype"))
                }
                if tensor.shape != spec.shape {
                    let reason = "is \(tensor.shape); must be \(spec.shape)"
                    errors.append(FieldError(field: "\(name).shape", reason: reason))
                }
                starts[name] = count
            } else if use == .parameters {
                errors.append(FieldError(field: name, reason: "is missing"))
            }
            count += spec.count
        }
        errors += unknown.sorted().map {
            FieldError(field: $0, reason: "is no parameter of this session")
        }
        guard errors.isEmpty else { throw VectorMismatch(errors: errors) }
        return starts
    }

    private func wrongDType(_ tensor: TensorHeader, field: String) -> FieldError {
        FieldError(
            field: field,
            reason: "is \(tensor.dtype.rawValue); this session's numbers are \(dtype.rawValue)")
    }
}

// MARK: - Collected bodies

extension ExpectedVector {
    /// The vector of a body that was collected whole, in parameter order.
    func received(_ body: CollectedVector) throws(VectorMismatch) -> ReceivedVector {
        guard case .tensors(let tensors) = body.header else {
            // Nothing to move, so no placement is made: most bodies are short, and of this kind.
            if case .octets(let byteCount) = body.header { try checkByteCount(byteCount) }
            if case .array(let array) = body.header { try checkArray(array) }
            return ReceivedVector(vector: Vector(littleEndian: body.numbers, as: dtype))
        }
        let placement = try placement(of: tensors)
        return ReceivedVector(
            vector: Vector(body.numbers, placedBy: placement, as: dtype),
            tensors: ReceivedTensors(names: Set(tensors.map(\.name)), specs: specs))
    }
}

extension Vector {
    fileprivate init(littleEndian numbers: ArraySlice<UInt8>, as dtype: DType) {
        // Sound: the vector has as many bytes as the slice, and all of them are written.
        self = unsafe Vector(count: numbers.count / dtype.size, dtype: dtype) { memory in
            unsafe memory.copyBytes(from: numbers)
        }
    }

    /// - Precondition: The numbers are as many bytes as the placement's body.
    fileprivate init(
        _ numbers: ArraySlice<UInt8>, placedBy placement: Placement, as dtype: DType
    ) {
        // Sound: the placement and its gaps cover all of the vector's bytes.
        self = unsafe Vector(count: placement.byteCount / dtype.size, dtype: dtype) { memory in
            guard let start = memory.baseAddress else { return }
            var progress = PlacementProgress(placement)
            unsafe numbers.withUnsafeBytes { unsafe progress.copy($0, to: start) }
            unsafe placement.clearGaps(of: start)
        }
    }
}
