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
