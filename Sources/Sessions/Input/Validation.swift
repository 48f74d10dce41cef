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

func notFinite(_ field: String, _ dtype: DType) -> FieldError {
    FieldError(field: field, reason: "must be finite numbers within \(dtype.rawValue)'s range")
}

/// Names and label values go to logs, terminals and files as they are.
func isPlain(_ text: String, lengthMax: Int) -> Bool {
    !text.isEmpty && text.unicodeScalars.count <= lengthMax
        && !text.unicodeScalars.contains { $0.properties.generalCategory == .control }
}

func plainText(lengthMax: Int) -> String {
    "must have 1 to \(lengthMax) characters, none of them a control character"
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

/// A body of octets that isn't as long as `count` numbers.
func wrongBody(_ bytes: Int, _ count: Int, _ dtype: DType) -> SessionError {
    .invalid([
        FieldError(
            field: "body",
            reason: "has \(bytes) bytes; \(count) \(dtype.rawValue) numbers have "
                + "\(count * dtype.size)")
    ])
}

extension SessionState {
    /// The flat gradient in the session's precision; absent ones are zeros.
    func gradient(_ input: GradientInput) throws(SessionError) -> Vector {
        switch input {
        case .octets(let octets): try vector(octets)
        case .vector(let arrived): try checked(arrived)
        case .tensors(let tensors):
            try vector(tensors, of: layout.parameters[...], isComplete: false)
        case .array(let array): try vector(array)
        case .mismatch(let mismatch): throw .invalid(mismatch.errors)
        case .flat, .named: Vector(try flatGradient(input), as: dtype)
        }
    }

    /// As many numbers as the parameters have.
    private func vector(_ octets: [UInt8]) throws(SessionError) -> Vector {
        guard let vector = Vector(bytes: octets, as: dtype), vector.count == layout.count else {
            throw wrongBody(octets.count, layout.count, dtype)
        }
        return vector
    }

    private func checked(_ arrived: ReceivedVector) throws(SessionError) -> Vector {
        try checkPlaces(of: arrived)
        let vector = arrived.vector
        guard vector.dtype == dtype, vector.count == layout.count else {
            throw wrongBody(vector.count * vector.dtype.size, layout.count, dtype)
        }
        return vector
    }

    /// Names that tensors were placed by may have changed while they came.
    private func checkPlaces(of arrived: ReceivedVector) throws(SessionError) {
        guard let tensors = arrived.tensors, tensors.specs != layout.parameters else { return }
        throw .invalid([
            FieldError(
                field: "body", reason: "began to come before the parameters changed: send it again")
        ])
    }

    /// The same in Float64.
    func flatGradient(_ input: GradientInput) throws(SessionError) -> [Double] {
        switch input {
        case .flat(let values):
            guard values.count == layout.count else {
                throw .invalid([wrongLength("gradient", values.count, layout.count)])
            }
            return values
        case .octets, .vector, .tensors, .array, .mismatch:
            return try gradient(input).doubles
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
        case .vector(let arrived):
            try checkPlaces(of: arrived)
            let doubles = arrived.vector.doubles
            guard let tensors = arrived.tensors else { return [doubles] }
            return try pastGradients(named: tensors.names) { specs throws(SessionError) in
                let count = specs.reduce(0) { $0 + $1.count }
                return count == doubles.count ? doubles : Array(doubles[..<count])
            }
        case .mismatch(let mismatch): throw .invalid(mismatch.errors)
        case .array(let array): return [try pastVector(array).doubles]
        case .tensors(let tensors):
            return try pastGradients(named: Set(tensors.keys)) { specs throws(SessionError) in
                try vector(tensors, of: specs, isComplete: false).doubles
            }
        case .named(let gradients):
            return try pastGradients(named: Set(gradients.keys)) { specs throws(SessionError) in
                try assembled(gradients, of: specs, field: "gradients", isComplete: false)
            }
        }
    }

    /// As the parameters were when each of the groups was the last.
    private func pastGradients(
        named names: Set<String>,
        _ assemble: (ArraySlice<ParameterSpec>) throws(SessionError) -> [Double]
    ) throws(SessionError) -> [[Double]] {
        var found: [[Double]] = []
        for group in layout.groups.reversed() {
            let specs = layout.parameters[..<group.parameters.upperBound]
            let known = Set(specs.enumerated().map { $1.name(at: $0) })
            if !names.isSubset(of: known) && !found.isEmpty { break }
            found.append(try assemble(specs))
        }
        return found
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
        case .vector(let arrived):
            field = "body"
            values = try checked(arrived)
        case .mismatch(let mismatch): throw .invalid(mismatch.errors)
        case .tensors(let tensors):
            field = "body"
            values = try vector(tensors, of: layout.parameters[...], isComplete: true)
        case .array(let array):
            field = "body"
            values = try vector(array)
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
            let name = spec.name(at: index)
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
