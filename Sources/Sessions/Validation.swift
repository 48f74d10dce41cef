// Everything that a request can have wrong, checked once, before anything changes.

extension OptionsPatch {
    /// The options with the patch applied. At creation `max_eval` follows `max_iter` when it isn't
    /// given, as in torch's constructor; later it stays, as in torch's `param_groups`.
    func applied(to options: Options, isCreation: Bool) throws(SessionError) -> Options {
        var next = options
        if let lr { next.lr = lr }
        if let maxIterations { next.maxIterations = maxIterations }
        if let maxEvaluations {
            next.maxEvaluations = maxEvaluations
        } else if isCreation {
            next.maxEvaluations = Options.defaultMaxEvaluations(maxIterations: next.maxIterations)
        }
        if let toleranceGradient { next.toleranceGradient = toleranceGradient }
        if let toleranceChange { next.toleranceChange = toleranceChange }
        if let historySize { next.historySize = historySize }
        if let historyDType { next.historyDType = historyDType }
        if let lineSearch { next.lineSearch = lineSearch }
        if let mode { next.mode = mode }
        do {
            try next.validate()
        } catch {
            throw .invalid([FieldError(field: "options.\(error.option)", reason: error.reason)])
        }
        return next
    }
}

extension CreateRequest {
    struct Validated {
        var specs: [ParameterSpec]
        var values: Vector
        var options: Options
    }

    func validated(_ limits: Limits) throws(SessionError) -> Validated {
        try check(name: name, labels: labels, limits)
        var errors: [FieldError] = []
        func wrong(_ field: String, _ reason: String) {
            errors.append(FieldError(field: field, reason: reason))
        }
        let whole = isShortForm ? "x0" : "params"
        if parameters.isEmpty { wrong(whole, "must have at least one number") }
        if parameters.count > limits.tensorsMax {
            wrong(whole, "has \(parameters.count) tensors; the limit is \(limits.tensorsMax)")
        }
        let names = parameters.compactMap(\.name)
        if !names.isEmpty && names.count != parameters.count {
            wrong(whole, "must be named all or none")
        }
        if let twice = firstDuplicate(names) { wrong(whole, "has two parameters named \(twice)") }
        var total = 0
        var flat: [Double] = []
        for (index, parameter) in parameters.enumerated() {
            let field = isShortForm ? "x0" : "params[\(index)].values"
            if let count = elementCount(parameter.shape), count > 0 {
                if parameter.values.count != count {
                    wrong(
                        isShortForm ? "x0" : field,
                        "has \(parameter.values.count) numbers; shape \(parameter.shape) has "
                            + "\(count)")
                }
            } else {
                wrong(
                    isShortForm ? "x0" : "params[\(index)].shape",
                    isShortForm
                        ? "must have at least one number"
                        : "must have dimensions of at least 1, with a product that fits in 64 bits")
            }
            if let name = parameter.name, !isPlain(name, lengthMax: limits.nameLengthMax) {
                wrong("params[\(index)].name", plainText(lengthMax: limits.nameLengthMax))
            }
            total += parameter.values.count
            flat += parameter.values
        }
        if total > limits.parametersMax {
            wrong(whole, "has \(total) numbers; the limit is \(limits.parametersMax)")
        }
        guard errors.isEmpty else { throw .invalid(errors) }
        let values = Vector(flat, as: dtype)
        guard values.isFinite else {
            throw .invalid([notFinite(whole, dtype)])
        }
        let options = try options.applied(to: Options(), isCreation: true)
        let specs = parameters.map { ParameterSpec(name: $0.name, shape: $0.shape) }
        try checkMemory(count: total, dtype: dtype, options: options, limits)
        return Validated(specs: specs, values: values, options: options)
    }
}

private func notFinite(_ field: String, _ dtype: DType) -> FieldError {
    FieldError(field: field, reason: "must be finite numbers within \(dtype.rawValue)'s range")
}

/// Names and label values go to logs, terminals and files as they are.
private func isPlain(_ text: String, lengthMax: Int) -> Bool {
    !text.isEmpty && text.unicodeScalars.count <= lengthMax
        && !text.unicodeScalars.contains { $0.properties.generalCategory == .control }
}

private func plainText(lengthMax: Int) -> String {
    "must have 1 to \(lengthMax) characters, none of them a control character"
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

/// Vectors that a session keeps beside its history: x, g, d, the previous g, the trial point, the
/// memory of the next one, up to three gradients of a line search, and the best point.
private let workingVectors = 10

/// Bytes of memory that a session can come to need; saturates. A pair more than `historySize` is
/// kept: the room for the next.
func memoryEstimate(
    count: Int, dtype: DType, historySize: Int, historyDType: HistoryDType?
) -> Int {
    let pairBytes = 2 * count * (historyDType ?? dtype.historyDType).size
    let (pairs, pairsOverflow) = historySize.addingReportingOverflow(1)
    let (history, historyOverflow) = pairs.multipliedReportingOverflow(by: pairBytes)
    let (bytes, overflow) = history.addingReportingOverflow(workingVectors * count * dtype.size)
    return pairsOverflow || historyOverflow || overflow ? .max : bytes
}

func checkMemory(
    count: Int, dtype: DType, options: Options, _ limits: Limits
) throws(SessionError) {
    let bytes = memoryEstimate(
        count: count, dtype: dtype, historySize: options.historySize,
        historyDType: options.historyDType)
    guard bytes <= limits.sessionBytesMax else {
        throw .invalid([
            FieldError(
                field: "options.history_size",
                reason: "\(options.historySize) pairs of \(count) "
                    + "\((options.historyDType ?? dtype.historyDType).rawValue) numbers can "
                    + "come to need \(bytes) bytes; the limit is \(limits.sessionBytesMax)")
        ])
    }
}

func check(name: String?, labels: [String: String]?, _ limits: Limits) throws(SessionError) {
    var errors: [FieldError] = []
    if let name, !isPlain(name, lengthMax: limits.nameLengthMax) {
        errors.append(
            FieldError(field: "name", reason: plainText(lengthMax: limits.nameLengthMax)))
    }
    let labels = labels ?? [:]
    if labels.count > limits.labelsMax {
        errors.append(
            FieldError(field: "labels", reason: "has more than \(limits.labelsMax) entries"))
    }
    for (key, value) in labels.sorted(by: { $0.key < $1.key }) {
        let isPlainKey =
            !key.isEmpty && key.utf8.count <= limits.labelLengthMax
            && key.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f && $0 != UInt8(ascii: ":") }
        if !isPlainKey {
            errors.append(
                FieldError(
                    field: "labels.\(key)",
                    reason: "a key has 1 to \(limits.labelLengthMax) visible ASCII characters, "
                        + "none of them a colon"))
        }
        if !value.isEmpty && !Sessions.isPlain(value, lengthMax: limits.labelLengthMax) {
            errors.append(
                FieldError(
                    field: "labels.\(key)",
                    reason: plainText(lengthMax: limits.labelLengthMax)))
        }
    }
    guard errors.isEmpty else { throw .invalid(errors) }
}

extension SessionState {
    /// The flat gradient in the session's precision; absent ones are zeros.
    func gradient(_ input: GradientInput) throws(SessionError) -> Vector {
        switch input {
        case .flat(let values):
            guard values.count == parameterCount else {
                throw .invalid([wrongLength("gradient", values.count, parameterCount)])
            }
            return Vector(values, as: dtype)
        case .named(let gradients):
            return try assembled(gradients, field: "gradients", isComplete: false)
        }
    }

    func values(_ input: ParametersInput) throws(SessionError) -> Vector {
        let values: Vector
        let field: String
        switch input {
        case .flat(let flat):
            field = "x"
            guard flat.count == parameterCount else {
                throw .invalid([wrongLength(field, flat.count, parameterCount)])
            }
            values = Vector(flat, as: dtype)
        case .named(let named):
            field = "params"
            values = try assembled(named, field: field, isComplete: true)
        }
        guard values.isFinite else { throw .invalid([notFinite(field, dtype)]) }
        return values
    }

    private func wrongLength(_ field: String, _ got: Int, _ expected: Int) -> FieldError {
        FieldError(field: field, reason: "has \(got) numbers; must have \(expected)")
    }

    /// Puts named tensors in parameter order. Parameters without a name are named "0", "1" ...
    private func assembled(
        _ named: [String: [Double]?], field: String, isComplete: Bool
    ) throws(SessionError) -> Vector {
        var errors: [FieldError] = []
        var flat: [Double] = []
        flat.reserveCapacity(parameterCount)
        var unknown = Set(named.keys)
        for (index, spec) in parameters.enumerated() {
            let name = spec.name ?? String(index)
            unknown.remove(name)
            if let values = named[name] ?? nil {
                if values.count != spec.count {
                    errors.append(wrongLength("\(field).\(name)", values.count, spec.count))
                }
                flat += values
            } else {
                if isComplete {
                    errors.append(FieldError(field: "\(field).\(name)", reason: "is missing"))
                }
                flat += [Double](repeating: 0, count: spec.count)
            }
        }
        errors += unknown.sorted().map {
            FieldError(field: "\(field).\($0)", reason: "is no parameter of this session")
        }
        guard errors.isEmpty else { throw .invalid(errors) }
        return Vector(flat, as: dtype)
    }
}

extension StateDict {
    /// What torch's `load_state_dict` refuses, and what would make the engine fail later.
    func check(against state: SessionState) throws(SessionError) {
        let count = state.parameters.count
        guard params.count == count else {
            throw .invalid([
                FieldError(
                    field: "param_groups[0].params",
                    reason: "has \(params.count) parameters; this session has \(count)")
            ])
        }
        if let paramNames, paramNames.count != count {
            throw .invalid([
                FieldError(
                    field: "param_groups[0].param_names",
                    reason: "has \(paramNames.count) names for \(count) parameters")
            ])
        }
    }
}
