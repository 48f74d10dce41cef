// Parameters of a new session, or of a group that joins one. They are checked completely before
// memory is allocated for their numbers.

/// Parameters that passed all checks.
struct ValidParameters {
    var specs: [ParameterSpec]
    var values: Vector
    var bounds: SessionBounds
}

extension CreateRequest {
    func validated(
        _ limits: Limits
    ) throws(SessionError) -> (parameters: ValidParameters, options: Options) {
        try limits.checkMetadata(name: name, labels: labels)
        try limits.checkShardCount(shardCount)
        let new = NewParameters(
            inputs: parameters, whole: isShortForm ? "x0" : "params", isShortForm: isShortForm)
        let count = try new.count(joining: nil, limits)
        let options = try options.applied(to: Options(), isCreation: true)
        try limits.checkHistoryFitsMemory(
            count: count, dtype: dtype, options: options, shardCount: shardCount,
            bounds: BoundsFootprint(parameters.map(\.bounds)))
        return (try new.made(as: dtype, options.mode), options)
    }
}

extension GroupRequest {
    /// - Parameters:
    ///   - bounds: Those of the session, whose memory grows.
    ///   - options: Its options.
    func validated(
        joining layout: Layout, as dtype: DType, _ bounds: SessionBounds, _ options: Options,
        _ limits: Limits
    ) throws(SessionError) -> ValidParameters {
        try limits.checkMetadata(name: name)
        guard layout.groups.count < limits.groupsMax else {
            throw .invalid([
                FieldError(field: "params", reason: "the limit is \(limits.groupsMax) groups")
            ])
        }
        let new = NewParameters(inputs: parameters, whole: "params", isShortForm: false)
        let count = try new.count(joining: layout, limits)
        let joined = BoundsFootprint([bounds.input] + parameters.map(\.bounds))
        try limits.checkHistoryFitsMemory(
            count: count, dtype: dtype, options: options, bounds: joined)
        return try new.made(as: dtype, options.mode)
    }
}

private struct NewParameters {
    var inputs: [ParameterInput]
    /// The field that has them all.
    var whole: String
    var isShortForm: Bool

    /// Numbers of all parameters, those that they join included.
    func count(joining layout: Layout?, _ limits: Limits) throws(SessionError) -> Int {
        var errors: [FieldError] = []
        func wrong(_ field: String, _ reason: String) {
            errors.append(FieldError(field: field, reason: reason))
        }
        if inputs.isEmpty { wrong(whole, "must have at least one number") }
        let tensors = inputs.count + (layout?.parameters.count ?? 0)
        if tensors > limits.tensorsMax {
            wrong(whole, "has \(tensors) tensors; the limit is \(limits.tensorsMax)")
            throw .invalid(errors)
        }
        for (index, parameter) in inputs.enumerated() where parameter.shape.count > limits.rankMax {
            wrong(
                "params[\(index)].shape",
                "has \(parameter.shape.count) dimensions; the limit is \(limits.rankMax)")
        }
        guard errors.isEmpty else { throw .invalid(errors) }
        checkNames(joining: layout, limits, wrong)
        var total = layout?.count ?? 0
        for (index, parameter) in inputs.enumerated() {
            let count = elementCount(parameter.shape)
            if let count, let values = parameter.values.list, values.count != count {
                wrong(
                    isShortForm ? "x0" : "params[\(index)].values",
                    "has \(values.count) numbers; shape \(parameter.shape) has \(count)")
            }
            if count == nil {
                wrong(
                    isShortForm ? "x0" : "params[\(index)].shape",
                    isShortForm
                        ? "must have at least one number"
                        : "must have dimensions of at least 1, with a product that fits in 64 bits")
            }
            let (sum, overflow) = total.addingReportingOverflow(
                parameter.values.list?.count ?? count ?? 0)
            total = overflow ? .max : sum
        }
        if errors.isEmpty { errors += bounds.wrongCounts }
        if total > limits.parametersMax {
            wrong(whole, "has \(total) numbers; the limit is \(limits.parametersMax)")
        }
        guard errors.isEmpty else { throw .invalid(errors) }
        return total
    }

    private func checkNames(
        joining layout: Layout?, _ limits: Limits, _ wrong: (String, String) -> Void
    ) {
        let names = inputs.compactMap(\.name)
        if let layout, !inputs.isEmpty {
            if layout.isNamed != !names.isEmpty || (layout.isNamed && names.count < inputs.count) {
                wrong(
                    whole,
                    layout.isNamed
                        ? "must be named, as the others are"
                        : "must have no names, as the others have none")
            }
        } else if !names.isEmpty && names.count != inputs.count {
            wrong(whole, "must be named all or none")
        }
        if let twice = firstDuplicate((layout?.parameters.compactMap(\.name) ?? []) + names) {
            wrong(whole, "has two parameters named \(twice)")
        }
        for (index, parameter) in inputs.enumerated() {
            guard let name = parameter.name else { continue }
            if !PrintableText.isValid(name, lengthMax: limits.nameLengthMax) {
                wrong(
                    "params[\(index)].name",
                    PrintableText.requirement(lengthMax: limits.nameLengthMax))
            }
            if name == ParameterSpec.reservedName {
                wrong("params[\(index)].name", ParameterSpec.isReserved)
            }
        }
    }

    /// - Precondition: `count` found nothing wrong.
    func made(as dtype: DType, _ mode: Options.Mode) throws(SessionError) -> ValidParameters {
        for (index, parameter) in inputs.enumerated() {
            guard case .fill(let value) = parameter.values,
                !Vector([value], as: dtype).isFinite
            else { continue }
            throw .invalid([
                FieldError(
                    field: "params[\(index)].fill",
                    reason: "must be a finite number within \(dtype.rawValue)'s range")
            ])
        }
        let values: Vector =
            switch dtype {
            case .float64: .float64(doubles)
            case .float32: .float32(flat { Float($0) })
            }
        guard values.isFinite else { throw .invalid([.notFinite(whole, dtype)]) }
        return ValidParameters(
            specs: inputs.map { ParameterSpec(name: $0.name, shape: $0.shape) }, values: values,
            bounds: try bounds.made(as: dtype, mode))
    }

    private var bounds: TensorBounds {
        TensorBounds(
            tensors: inputs.enumerated().map { index, parameter in
                TensorBounds.Tensor(
                    bounds: parameter.bounds, count: elementCount(parameter.shape) ?? 0,
                    path: isShortForm ? "" : "params[\(index)].")
            })
    }

    /// A list that stands alone is taken as it is.
    private var doubles: [Double] {
        if inputs.count == 1, let values = inputs[0].values.list { return values }
        return flat { $0 }
    }

    /// All numbers, in the precision that they are kept in: they are in memory once.
    private func flat<Number>(_ number: (Double) -> Number) -> [Number] {
        var flat: [Number] = []
        flat.reserveCapacity(inputs.reduce(0) { $0 + (elementCount($1.shape) ?? 0) })
        for parameter in inputs {
            switch parameter.values {
            case .list(let values): for value in values { flat.append(number(value)) }
            case .fill(let value):
                flat.append(
                    contentsOf: repeatElement(
                        number(value), count: elementCount(parameter.shape) ?? 0))
            }
        }
        return flat
    }
}

private func firstDuplicate(_ names: [String]) -> String? {
    var seen: Set<String> = []
    return names.first { !seen.insert($0).inserted }
}

/// nil when a dimension is below 1 or the product overflows.
private func elementCount(_ shape: [Int]) -> Int? {
    var count = 1
    for dimension in shape {
        let (product, overflow) = count.multipliedReportingOverflow(by: dimension)
        if dimension < 1 || overflow { return nil }
        count = product
    }
    return count
}
