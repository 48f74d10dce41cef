// Vectors of requests, compared with the session's parameters. Every form goes through `received`:
// the callers below differ only in the precision and the length that they need.

extension SessionState {
    /// A gradient in the session's precision. Absent parameters are zeros.
    func gradient(_ input: VectorInput) throws(SessionError) -> Vector {
        try received(input, for: .result).vector.converted(to: dtype)
    }

    /// The gradient of a shard, in Float64: shards are summed before they are rounded.
    func shardGradient(_ input: VectorInput) throws(SessionError) -> [Double] {
        try received(input, for: .shard).vector.doubles
    }

    /// New values of all parameters, in the session's precision.
    func values(_ input: VectorInput) throws(SessionError) -> Vector {
        let values = try received(input, for: .parameters).vector.converted(to: dtype)
        guard values.isFinite else {
            let field: String =
                switch input {
                case .flat: "x"
                case .named: "params"
                case .collected, .received, .mismatch: "body"
                }
            throw .invalid([.notFinite(field, dtype)])
        }
        return values
    }

    /// What a gradient of a former evaluation can have been. Groups may have joined since: a named
    /// gradient is tried as the parameters were when each of the groups was the last.
    func pastGradients(_ input: VectorInput) throws(SessionError) -> [[Double]] {
        let received = try received(input, for: .repetition)
        let all = received.vector.doubles
        guard let names = received.tensors?.names else { return [all] }
        var found: [[Double]] = []
        for group in layout.groups.reversed() {
            let specs = layout.parameters[..<group.parameters.upperBound]
            let known = Set(specs.enumerated().map { $1.name(at: $0) })
            if !names.isSubset(of: known) && !found.isEmpty { break }
            let count = specs.reduce(0) { $0 + $1.count }
            found.append(count == all.count ? all : Array(all[..<count]))
        }
        return found
    }

    /// The vector in parameter order; from JSON in Float64, otherwise in the session's precision.
    private func received(
        _ input: VectorInput, for use: ExpectedVector.Use
    ) throws(SessionError) -> ReceivedVector {
        switch input {
        case .flat(let numbers):
            guard numbers.count == layout.count || use == .repetition else {
                let field = use == .parameters ? "x" : "gradient"
                throw .invalid([.wrongLength(field, numbers.count, layout.count)])
            }
            return ReceivedVector(vector: .float64(numbers))
        case .named(let named):
            return try assembled(named, for: use)
        case .collected(let body):
            let expected = ExpectedVector(
                dtype: dtype, specs: layout.parameters, count: layout.count, use: use)
            do throws(VectorMismatch) {
                return try expected.received(body)
            } catch {
                throw .invalid(error.errors)
            }
        case .received(let received):
            try checkUnchanged(received, since: use)
            return received
        case .mismatch(let mismatch):
            throw .invalid(mismatch.errors)
        }
    }

    /// The parameters may have changed while the vector arrived.
    private func checkUnchanged(
        _ received: ReceivedVector, since use: ExpectedVector.Use
    ) throws(SessionError) {
        if let tensors = received.tensors, tensors.specs != layout.parameters {
            throw .invalid([
                FieldError(
                    field: "body",
                    reason: "began to arrive before the parameters changed: send it again")
            ])
        }
        guard use != .repetition else { return }
        let expected = ExpectedVector(
            dtype: dtype, specs: layout.parameters, count: layout.count, use: use)
        do throws(VectorMismatch) {
            try expected.checkByteCount(received.vector.count * received.vector.dtype.size)
        } catch {
            throw .invalid(error.errors)
        }
    }

    /// Puts named arrays in parameter order.
    private func assembled(
        _ named: [String: [Double]?], for use: ExpectedVector.Use
    ) throws(SessionError) -> ReceivedVector {
        let field = use == .parameters ? "params" : "gradients"
        var errors: [FieldError] = []
        var flat: [Double] = []
        flat.reserveCapacity(layout.count)
        var unknown = Set(named.keys)
        for (index, spec) in layout.parameters.enumerated() {
            let name = spec.name(at: index)
            unknown.remove(name)
            if let values = named[name] ?? nil {
                if values.count != spec.count {
                    errors.append(.wrongLength("\(field).\(name)", values.count, spec.count))
                }
                flat += values
            } else {
                if use == .parameters {
                    errors.append(FieldError(field: "\(field).\(name)", reason: "is missing"))
                }
                flat += [Double](repeating: 0, count: spec.count)
            }
        }
        errors += unknown.sorted().map {
            FieldError(field: "\(field).\($0)", reason: "is no parameter of this session")
        }
        guard errors.isEmpty else { throw .invalid(errors) }
        guard use == .repetition else { return ReceivedVector(vector: .float64(flat)) }
        return ReceivedVector(
            vector: .float64(flat),
            tensors: ReceivedTensors(names: Set(named.keys), specs: layout.parameters))
    }
}

extension FieldError {
    fileprivate static func wrongLength(_ field: String, _ got: Int, _ expected: Int) -> FieldError
    {
        FieldError(field: field, reason: "has \(got) numbers; must have \(expected)")
    }

    static func notFinite(_ field: String, _ dtype: DType) -> FieldError {
        FieldError(field: field, reason: "must be finite numbers within \(dtype.rawValue)'s range")
    }
}

extension Vector {
    /// The same numbers, rounded if `dtype` is narrower.
    fileprivate func converted(to dtype: DType) -> Vector {
        self.dtype == dtype ? self : Vector(doubles, as: dtype)
    }
}
