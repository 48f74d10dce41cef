// Everything that a request can have wrong, checked once, before anything changes.

extension OptionsPatch {
    /// The options with the patch applied. At creation `max_eval` follows `max_iter` when it isn't
    /// given, as in torch's constructor; later it stays, as in torch's `param_groups`.
    func applied(to options: Options, isCreation: Bool) throws(SessionError) -> Options {
        var next = isCreation ? Options(mode: mode ?? .torch) : options
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
        if let noise { next.noise = noise }
        if let toleranceGradientRelative {
            next.toleranceGradientRelative = toleranceGradientRelative
        }
        if let toleranceLossRelative { next.toleranceLossRelative = toleranceLossRelative }
        if let reuseEvaluation { next.reuseEvaluation = reuseEvaluation }
        do {
            try next.validate()
        } catch {
            throw .invalid([FieldError(field: "options.\(error.option)", reason: error.reason)])
        }
        return next
    }
}

extension OptionsPatch {
    /// The sign is chosen once: histories of both wouldn't fit together.
    func checkMaximize(_ isMaximizing: Bool) throws(SessionError) {
        guard let maximize, maximize != isMaximizing else { return }
        throw .invalid([
            FieldError(field: "options.maximize", reason: "is fixed when a session is created")
        ])
    }
}

/// Parameters that were found to be right.
struct ValidParameters {
    var specs: [ParameterSpec]
    var values: Vector
}

extension CreateRequest {
    func validated(
        _ limits: Limits
    ) throws(SessionError) -> (parameters: ValidParameters, options: Options) {
        try check(name: name, labels: labels, limits)
        try check(shards: shardCount, limits)
        let valid = try validatedParameters(
            parameters, joining: nil, whole: isShortForm ? "x0" : "params",
            isShortForm: isShortForm, as: dtype, limits)
        let options = try options.applied(to: Options(), isCreation: true)
        try checkMemory(count: valid.values.count, dtype: dtype, options: options, limits)
        return (valid, options)
    }
}

extension GroupRequest {
    func validated(
        joining layout: Layout, as dtype: DType, _ limits: Limits
    ) throws(SessionError) -> ValidParameters {
        try check(name: name, labels: nil, limits)
        guard layout.groups.count < limits.groupsMax else {
            throw .invalid([
                FieldError(field: "params", reason: "the limit is \(limits.groupsMax) groups")
            ])
        }
        return try validatedParameters(
            parameters, joining: layout, whole: "params", isShortForm: false, as: dtype, limits)
    }
}

/// Everything that can be wrong with new parameters, of a new session or joining others.
private func validatedParameters(
    _ parameters: [ParameterInput], joining layout: Layout?, whole: String, isShortForm: Bool,
    as dtype: DType, _ limits: Limits
) throws(SessionError) -> ValidParameters {
    var errors: [FieldError] = []
    func wrong(_ field: String, _ reason: String) {
        errors.append(FieldError(field: field, reason: reason))
    }
    if parameters.isEmpty { wrong(whole, "must have at least one number") }
    let tensors = parameters.count + (layout?.parameters.count ?? 0)
    if tensors > limits.tensorsMax {
        wrong(whole, "has \(tensors) tensors; the limit is \(limits.tensorsMax)")
    }
    let names = parameters.compactMap(\.name)
    if let layout, !parameters.isEmpty {
        if layout.isNamed != !names.isEmpty || (layout.isNamed && names.count < parameters.count) {
            wrong(
                whole,
                layout.isNamed
                    ? "must be named, as the others are"
                    : "must have no names, as the others have none")
        }
    } else if !names.isEmpty && names.count != parameters.count {
        wrong(whole, "must be named all or none")
    }
    if let twice = firstDuplicate((layout?.parameters.compactMap(\.name) ?? []) + names) {
        wrong(whole, "has two parameters named \(twice)")
    }
    var total = layout?.count ?? 0
    var flat: [Double] = []
    for (index, parameter) in parameters.enumerated() {
        let field = isShortForm ? "x0" : "params[\(index)].values"
        if let count = elementCount(parameter.shape), count > 0 {
            if parameter.values.count != count {
                wrong(
                    field,
                    "has \(parameter.values.count) numbers; shape \(parameter.shape) has \(count)")
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
    guard values.isFinite else { throw .invalid([notFinite(whole, dtype)]) }
    return ValidParameters(
        specs: parameters.map { ParameterSpec(name: $0.name, shape: $0.shape) }, values: values)
}

func check(shards: Int?, _ limits: Limits) throws(SessionError) {
    guard let shards, !(1...limits.shardsMax).contains(shards) else { return }
    throw .invalid([
        FieldError(field: "shards", reason: "must be from 1 to \(limits.shardsMax), not \(shards)")
    ])
}

func check(worker: String, seconds: Double, _ limits: Limits) throws(SessionError) {
    var errors: [FieldError] = []
    if !isPlain(worker, lengthMax: limits.nameLengthMax) {
        errors.append(
            FieldError(field: "worker", reason: plainText(lengthMax: limits.nameLengthMax)))
    }
    if !(seconds > 0 && seconds <= limits.leaseSecondsMax) {
        errors.append(
            FieldError(
                field: "seconds",
                reason: "must be above 0 and at most \(Int(limits.leaseSecondsMax))"))
    }
    guard errors.isEmpty else { throw .invalid(errors) }
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

extension SessionState {
    var memoryBytesEstimate: Int {
        memoryEstimate(
            count: layout.count, dtype: dtype, historySize: engine.options.historySize,
            historyDType: engine.options.historyDType)
    }
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
        if case .octets(let octets) = input { return try vector(octets) }
        return Vector(try flatGradient(input), as: dtype)
    }

    /// As many numbers as the parameters have.
    private func vector(_ octets: [UInt8]) throws(SessionError) -> Vector {
        guard let vector = Vector(bytes: octets, as: dtype), vector.count == layout.count else {
            throw .invalid([
                FieldError(
                    field: "body",
                    reason: "has \(octets.count) bytes; \(layout.count) \(dtype.rawValue) numbers "
                        + "have \(layout.count * dtype.size)")
            ])
        }
        return vector
    }

    /// The same in Float64.
    func flatGradient(_ input: GradientInput) throws(SessionError) -> [Double] {
        switch input {
        case .flat(let values):
            guard values.count == layout.count else {
                throw .invalid([wrongLength("gradient", values.count, layout.count)])
            }
            return values
        case .octets(let octets): return try vector(octets).doubles
        case .named(let gradients):
            return try assembled(
                gradients, of: layout.parameters[...], field: "gradients", isComplete: false)
        }
    }

    /// What a gradient for an evaluation that is past can have been: told when fewer groups had
    /// joined, or of any length, which comparing it will show to be right or wrong.
    func pastGradients(_ input: GradientInput) throws(SessionError) -> [[Double]] {
        switch input {
        case .flat(let values): return [values]
        case .octets(let octets):
            guard let vector = Vector(bytes: octets, as: dtype) else {
                return [try vector(octets).doubles]
            }
            return [vector.doubles]
        case .named(let gradients):
            var found: [[Double]] = []
            for group in layout.groups.reversed() {
                let specs = layout.parameters[..<group.parameters.upperBound]
                let known = gradients.filter { name, _ in
                    specs.enumerated().contains { name == $1.name ?? String($0) }
                }
                if known.count < gradients.count && !found.isEmpty { break }
                found.append(
                    try assembled(gradients, of: specs, field: "gradients", isComplete: false))
            }
            return found
        }
    }

    func values(_ input: ParametersInput) throws(SessionError) -> Vector {
        let values: Vector
        let field: String
        switch input {
        case .flat(let flat):
            field = "x"
            guard flat.count == layout.count else {
                throw .invalid([wrongLength(field, flat.count, layout.count)])
            }
            values = Vector(flat, as: dtype)
        case .octets(let octets):
            field = "body"
            values = try vector(octets)
        case .named(let named):
            field = "params"
            values = Vector(
                try assembled(
                    named, of: layout.parameters[...], field: field, isComplete: true),
                as: dtype)
        }
        guard values.isFinite else { throw .invalid([notFinite(field, dtype)]) }
        return values
    }

    private func wrongLength(_ field: String, _ got: Int, _ expected: Int) -> FieldError {
        FieldError(field: field, reason: "has \(got) numbers; must have \(expected)")
    }

    /// Puts named tensors in parameter order. Parameters without a name are named "0", "1" ...
    private func assembled(
        _ named: [String: [Double]?], of specs: ArraySlice<ParameterSpec>, field: String,
        isComplete: Bool
    ) throws(SessionError) -> [Double] {
        var errors: [FieldError] = []
        var flat: [Double] = []
        flat.reserveCapacity(layout.count)
        var unknown = Set(named.keys)
        for (index, spec) in specs.enumerated() {
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
        return flat
    }
}
