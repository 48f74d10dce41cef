internal import LBFGS

// Bounds of requests, compared with the parameters that they are of.

/// The bounds of several tensors, and how errors name each of them.
struct TensorBounds {
    struct Tensor {
        var bounds: BoundsInput
        var count: Int
        /// What precedes the field in a path, e.g. `params[0].`
        var path: String
    }

    var tensors: [Tensor]

    /// Vectors without a number for each parameter. O(tensors).
    var wrongCounts: [FieldError] {
        tensors.flatMap { tensor in
            BoundsField.allCases.compactMap { field in
                guard let got = tensor.bounds[field].count, got != tensor.count else { return nil }
                return FieldError(
                    field: "\(tensor.path)\(field)",
                    reason: "has \(got) numbers; must have \(tensor.count), or be a number for all")
            }
        }
    }

    /// The bounds of all numbers. O(n).
    /// - Precondition: `wrongCounts` is empty.
    func made(as dtype: DType, _ mode: Options.Mode) throws(SessionError) -> SessionBounds {
        let count = tensors.reduce(0) { $0 + $1.count }
        let made: SessionBounds
        do {
            made = try SessionBounds(joined(count), count: count, as: dtype)
        } catch {
            throw .invalid([fieldError(error)])
        }
        if mode == .torch, !made.isEmpty {
            let field = BoundsField.allCases.first { field in !made.input[field].isNone } ?? .lower
            throw .invalid([fieldError(.needsRobustMode(BoundsError.Field(field)))])
        }
        return made
    }

    private func joined(_ count: Int) -> BoundsInput {
        var joined = BoundsInput()
        for field in BoundsField.allCases { joined[field] = self.joined(field, count) }
        return joined
    }

    /// The numbers of all tensors: one for all, where that is possible.
    private func joined(_ field: BoundsField, _ count: Int) -> ParameterValues<Double> {
        let values = tensors.map { $0.bounds[field] }
        guard let first = values.first, !values.allSatisfy(\.isNone) else { return .none }
        if values.count == 1 { return first }
        if case .uniform = first, values.allSatisfy({ $0.count == nil && $0 == first }) {
            return first
        }
        var numbers: [Double] = []
        numbers.reserveCapacity(count)
        for tensor in tensors {
            switch tensor.bounds[field] {
            case .none: numbers.append(repeating: field.missing, tensor.count)
            case .uniform(let value): numbers.append(repeating: value, tensor.count)
            case .each(let values): numbers += values
            }
        }
        return .each(numbers)
    }

    /// The error with the path of the tensor's number. An error without an index is that of a
    /// number for all.
    private func fieldError(_ error: BoundsError) -> FieldError {
        let field = BoundsField(rawValue: error.field.rawValue) ?? .lower
        guard let index = error.index else {
            let tensor = tensors.first { !$0.bounds[field].isNone } ?? tensors[0]
            return FieldError(field: "\(tensor.path)\(field)", reason: error.reason)
        }
        var start = 0
        for tensor in tensors {
            defer { start += tensor.count }
            guard index < start + tensor.count else { continue }
            let offset = index - start
            let isVector = tensor.bounds[field].count != nil
            return FieldError(
                field: "\(tensor.path)\(field)" + (isVector ? "[\(offset)]" : ""),
                reason: error.at(offset).reason)
        }
        return FieldError(field: "\(tensors[0].path)\(field)", reason: error.reason)
    }
}

extension Array<Double> {
    fileprivate mutating func append(repeating value: Double, _ count: Int) {
        append(contentsOf: repeatElement(value, count: count))
    }
}

extension BoundsError.Field {
    init(_ field: BoundsField) {
        switch field {
        case .lower: self = .lower
        case .upper: self = .upper
        case .l1: self = .l1
        }
    }
}

extension BoundsError {
    /// The same error about another index.
    fileprivate func at(_ index: Int) -> BoundsError {
        switch self {
        case .notANumber(let field, _): .notANumber(field, index: index)
        case .lowerAboveUpper(_, let lower, let upper):
            .lowerAboveUpper(index: index, lower: lower, upper: upper)
        case .nothingBetween(_, let lower, let upper):
            .nothingBetween(index: index, lower: lower, upper: upper)
        case .infinite(let field, _, let value): .infinite(field, index: index, value: value)
        case .weight(_, let value): .weight(index: index, value: value)
        case .wrongCount, .needsRobustMode: self
        }
    }
}

// MARK: - Bounds of a session

extension SessionState {
    /// The bounds that a request asks for.
    func bounds(_ request: BoundsRequest) throws(SessionError) -> TensorBounds {
        let bounds: TensorBounds
        switch request {
        case .flat(let input):
            bounds = TensorBounds(
                tensors: [TensorBounds.Tensor(bounds: input, count: layout.count, path: "")])
        case .named(let named):
            let known = Set(layout.parameters.enumerated().map { $1.name(at: $0) })
            let unknown = named.keys.filter { !known.contains($0) }.sorted()
            guard unknown.isEmpty else {
                throw .invalid(
                    unknown.map {
                        FieldError(field: "params.\($0)", reason: "is no parameter of this session")
                    })
            }
            bounds = TensorBounds(
                tensors: layout.parameters.enumerated().map { index, spec in
                    let name = spec.name(at: index)
                    return TensorBounds.Tensor(
                        bounds: named[name] ?? BoundsInput(), count: spec.count,
                        path: "params.\(name).")
                })
        case .collected(let body):
            bounds = try received(body)
        }
        let errors = bounds.wrongCounts
        guard errors.isEmpty else { throw .invalid(errors) }
        return bounds
    }

    private func received(_ body: CollectedVector) throws(SessionError) -> TensorBounds {
        let numbers: Int
        switch body.header {
        case .octets(let byteCount):
            guard byteCount.isMultiple(of: dtype.size) else {
                throw wrongCount("\(byteCount) bytes")
            }
            numbers = byteCount / dtype.size
        case .array(let array):
            guard array.dtype == dtype else { throw .invalid([wrongDType(array.dtype, "dtype")]) }
            numbers = array.count
        case .tensors(let tensors): return try received(tensors, body.numbers)
        }
        let count = layout.count
        guard numbers == 2 * count || numbers == 3 * count else {
            throw wrongCount("\(numbers) numbers")
        }
        var input = BoundsInput()
        for (place, field) in BoundsField.allCases.enumerated() where place < numbers / count {
            let part = body.numbers.dropFirst(place * count * dtype.size)
            input[field] = .each(doubles(part.prefix(count * dtype.size)))
        }
        return TensorBounds(tensors: [.init(bounds: input, count: count, path: "")])
    }

    private func wrongCount(_ what: String) -> SessionError {
        .invalid([
            FieldError(
                field: "body",
                reason: "has \(what); must have \(2 * layout.count) \(dtype.rawValue) numbers, the "
                    + "lower bounds and then the upper ones, or \(3 * layout.count), with l1")
        ])
    }

    private func wrongDType(_ got: DType, _ field: String) -> FieldError {
        FieldError(
            field: field,
            reason: "is \(got.rawValue); this session's numbers are \(dtype.rawValue)")
    }

    /// Named tensors, each in the parameter's shape, or a scalar for all of its numbers.
    private func received(
        _ tensors: [VectorHeader.Tensor], _ numbers: ArraySlice<UInt8>
    ) throws(SessionError) -> TensorBounds {
        var bounds = TensorBounds(
            tensors: layout.parameters.enumerated().map { index, spec in
                .init(bounds: BoundsInput(), count: spec.count, path: "\(spec.name(at: index)).")
            })
        let indices = Dictionary(
            layout.parameters.enumerated().map { ($1.name(at: $0), $0) },
            uniquingKeysWith: { first, _ in first })
        var errors: [FieldError] = []
        var rest = numbers
        for tensor in tensors {
            let bytes = rest.prefix(tensor.header.byteCount)
            rest = rest.dropFirst(tensor.header.byteCount)
            let parts = tensor.name.split(separator: ".", omittingEmptySubsequences: false)
            guard parts.count > 1, let last = parts.last,
                let field = BoundsField(rawValue: String(last)),
                let index = indices[parts.dropLast().joined(separator: ".")]
            else {
                errors.append(
                    FieldError(
                        field: tensor.name,
                        reason: "must be a parameter of this session and .lower, .upper or .l1"))
                continue
            }
            let shape = layout.parameters[index].shape
            if tensor.header.dtype != dtype {
                errors.append(wrongDType(tensor.header.dtype, "\(tensor.name).dtype"))
            } else if tensor.header.shape.isEmpty {
                bounds.tensors[index].bounds[field] = .uniform(doubles(bytes)[0])
            } else if tensor.header.shape != shape {
                errors.append(
                    FieldError(
                        field: "\(tensor.name).shape",
                        reason: "is \(tensor.header.shape); must be \(shape), or [] for all"))
            } else {
                bounds.tensors[index].bounds[field] = .each(doubles(bytes))
            }
        }
        guard errors.isEmpty else { throw .invalid(errors) }
        return bounds
    }

    private func doubles(_ bytes: ArraySlice<UInt8>) -> [Double] {
        Vector(bytes: Array(bytes), as: dtype)?.doubles ?? []
    }
}
