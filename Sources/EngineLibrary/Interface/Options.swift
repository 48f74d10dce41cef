public import CLbfgsd
internal import LBFGS

/// The iterations of a step in mode robust, unless options say otherwise: those of SciPy's L-BFGS-B
/// and of the Python client's `minimize`.
private let robustIterations = 15_000

private let modes: [(lbfgsd_mode, Options.Mode)] = [
    (LBFGSD_MODE_ROBUST, .robust), (LBFGSD_MODE_TORCH, .torch),
]

private let searches: [(lbfgsd_line_search, Options.LineSearchFunction?)] = [
    (LBFGSD_LINE_SEARCH_DEFAULT, nil), (LBFGSD_LINE_SEARCH_STRONG_WOLFE, .strongWolfe),
    (LBFGSD_LINE_SEARCH_MORE_THUENTE, .moreThuente),
    (LBFGSD_LINE_SEARCH_HAGER_ZHANG, .hagerZhang),
    (LBFGSD_LINE_SEARCH_BACKTRACKING, .backtracking),
]

private let pairTypes: [(lbfgsd_dtype, HistoryDType?)] = [
    (LBFGSD_DTYPE_DEFAULT, nil), (LBFGSD_FLOAT64, .float64), (LBFGSD_FLOAT32, .float32),
    (LBFGSD_BFLOAT16, .bfloat16),
]

extension Options {
    /// The options of mode robust, for callers that pass none.
    static var robust: Options { Options(maxIterations: robustIterations, mode: .robust) }

    /// Reads options of the interface.
    init(_ options: lbfgsd_options) throws(LibraryError) {
        guard options.size == MemoryLayout<lbfgsd_options>.size else {
            throw LibraryError(
                LBFGSD_ERROR_SIZE,
                "options.size is \(options.size), not \(MemoryLayout<lbfgsd_options>.size)")
        }
        func choice<Kind: RawRepresentable, Value>(
            _ number: Int32, _ name: String, in choices: [(Kind, Value)]
        ) throws(LibraryError) -> Value where Kind.RawValue: BinaryInteger {
            for (kind, value) in choices where Int64(kind.rawValue) == Int64(number) {
                return value
            }
            throw LibraryError(LBFGSD_ERROR_OPTION, "\(name) has no choice \(number)")
        }
        let mode = try choice(options.mode, "mode", in: modes)
        let search = try choice(options.line_search, "line_search", in: searches)
        let pairs = try choice(options.history_dtype, "history_dtype", in: pairTypes)
        guard 0...1 ~= options.reuse_evaluation else {
            throw LibraryError(
                LBFGSD_ERROR_OPTION,
                "reuse_evaluation must be 0 or 1, not \(options.reuse_evaluation)")
        }
        self.init(
            lr: options.lr, maxIterations: Int(options.max_iter),
            maxEvaluations: options.max_eval == 0 ? nil : Int(options.max_eval),
            toleranceGradient: options.tolerance_grad, toleranceChange: options.tolerance_change,
            historySize: Int(options.history_size), historyDType: pairs, lineSearch: search,
            mode: mode, noise: options.noise < 0 ? nil : .relative(options.noise),
            toleranceGradientRelative: options.tolerance_grad_relative,
            toleranceLossRelative: options.tolerance_loss_relative,
            reuseEvaluation: options.reuse_evaluation == 1)
        do throws(OptionError) {
            try validate()
        } catch {
            throw LibraryError(error)
        }
    }

    /// The options at `pointer`, or nil for NULL.
    static func read(
        _ pointer: UnsafePointer<lbfgsd_options>?
    ) throws(LibraryError) -> Options? {
        guard let pointer = unsafe pointer else { return nil }
        // The whole structure is read only if it is as long.
        let size = unsafe UnsafeRawPointer(pointer).load(as: Int.self)
        guard size == MemoryLayout<lbfgsd_options>.size else {
            var empty = lbfgsd_options()
            empty.size = size
            return try Options(empty)
        }
        return try Options(unsafe pointer.pointee)
    }
}

extension LibraryError {
    init(_ error: OptionError) {
        let name = error.option == "line_search_fn" ? "line_search" : error.option
        self.init(LBFGSD_ERROR_OPTION, "\(name) \(error.reason)")
    }
}

@c @implementation
public func lbfgsd_options_init(
    _ options: UnsafeMutablePointer<lbfgsd_options>!, _ size: Int, _ mode: Int32
) -> lbfgsd_status {
    guard let options = unsafe options else { return LBFGSD_ERROR_NULL }
    guard size == MemoryLayout<lbfgsd_options>.size else { return LBFGSD_ERROR_SIZE }
    let defaults: Options
    switch mode {
    case Int32(LBFGSD_MODE_ROBUST.rawValue): defaults = .robust
    case Int32(LBFGSD_MODE_TORCH.rawValue): defaults = Options()
    default: return LBFGSD_ERROR_OPTION
    }
    var filled = lbfgsd_options()
    filled.size = size
    filled.mode = mode
    filled.line_search = Int32(LBFGSD_LINE_SEARCH_DEFAULT.rawValue)
    filled.history_dtype = Int32(LBFGSD_DTYPE_DEFAULT.rawValue)
    filled.reuse_evaluation = defaults.reuseEvaluation ? 1 : 0
    filled.max_iter = Int64(defaults.maxIterations)
    filled.max_eval = 0
    filled.history_size = Int64(defaults.historySize)
    filled.lr = defaults.lr
    filled.tolerance_grad = defaults.toleranceGradient
    filled.tolerance_grad_relative = defaults.toleranceGradientRelative
    filled.tolerance_change = defaults.toleranceChange
    filled.tolerance_loss_relative = defaults.toleranceLossRelative
    filled.noise = -1
    unsafe options.pointee = filled
    return LBFGSD_OK
}
