/// The options of `torch.optim.LBFGS` with their defaults, and those of robust mode.
///
/// They are read when a step begins. A change during a step takes effect with the next one, as when
/// a closure edits `param_groups[0]` in torch.
public struct Options: Equatable, Sendable, Codable {
    /// How a step length is found along the search direction.
    public enum LineSearchFunction: String, Equatable, Sendable, Codable, CaseIterable {
        /// Bracketing and zoom until the strong Wolfe conditions hold (Nocedal & Wright 2006,
        /// algorithms 3.5 and 3.6), c1 = 1e-4, c2 = 0.9.
        case strongWolfe = "strong_wolfe"
        /// Moré & Thuente 1994, like MINPACK's `dcsrch`. Needs robust mode.
        case moreThuente = "more_thuente"
        /// Hager & Zhang 2005, with approximate Wolfe conditions. Needs robust mode.
        case hagerZhang = "hager_zhang"
        /// Sufficient decrease only, by contraction (Dennis & Schnabel 1983, algorithm A6.3.1).
        /// Needs robust mode.
        case backtracking
    }

    /// The rules for direction, search and termination.
    public enum Mode: String, Equatable, Sendable, Codable, CaseIterable {
        /// The trajectories of `torch.optim.LBFGS`.
        case torch
        /// The engine's own rules, which do not depend on the scale of the problem, take the
        /// precision of its evaluation into account, and end a step at the best point it has seen.
        case robust
    }

    /// torch's `lr`: the first trial step length of each iteration. In the first iteration since
    /// the optimizer was created it is scaled by min(1, 1 / ||g||_1). Finite, at least 0; default
    /// 1. Choose less than 1 if steps overshoot and no line search is used. In robust mode it is
    /// the first trial step length of the very first iteration only, and must be more than 0.
    public var lr: Double
    /// torch's `max_iter`: the most iterations of a step. At least 1; default 20.
    public var maxIterations: Int
    /// torch's `max_eval`: the evaluations after which a step ends. At least 1; default
    /// `maxIterations * 5 / 4`. Robust mode never exceeds it; torch mode may, by one.
    public var maxEvaluations: Int
    /// torch's `tolerance_grad`: a step ends when ||g||_inf is at most this. At least 0; default
    /// 1e-7.
    public var toleranceGradient: Double
    /// A step ends when ||g||_inf is at most this times its value at the optimizer's first
    /// evaluation. At least 0; default 0, which is off. Unlike ``toleranceGradient`` it does not
    /// depend on the scale of the loss.
    public var toleranceGradientRelative: Double
    /// torch's `tolerance_change`: a step ends when ||t d||_inf is at most this, when the loss
    /// changes by less, or, in torch mode, when g.d > -`toleranceChange`. At least 0; default 1e-9,
    /// in robust mode 0, which is off. It is absolute, as in torch: scale it with the problem.
    public var toleranceChange: Double
    /// A step ends when an iteration changes the loss by at most this times the larger of the two
    /// losses. At least 0; default 0, which is off.
    public var toleranceLossRelative: Double
    /// torch's `history_size`: the most curvature pairs to keep, each of 2 n numbers. At least 1;
    /// default 100.
    public var historySize: Int
    /// The precision in which curvature pairs are stored; nil, the default, is that of the
    /// parameters. A change applies to pairs that are formed from the next step on.
    public var historyDType: HistoryDType?
    /// torch's `line_search_fn`. nil, the default, moves by ``lr`` without a search in torch mode,
    /// and means Hager and Zhang's search in robust mode.
    public var lineSearch: LineSearchFunction?
    /// The rules that the steps follow; default ``Mode/torch``.
    public var mode: Mode
    /// The precision of the caller's evaluation, which only robust mode uses; nil, the default, is
    /// that of the parameters.
    public var noise: Noise?
    /// Whether a step begins without an evaluation if loss and gradient are known from the step
    /// before. Default: true in robust mode, false in torch mode. Turn it off if the loss changes
    /// between steps, as it does with mini-batches.
    public var reuseEvaluation: Bool

    /// Options; those that are left out have the default of their mode. The values are checked by
    /// ``validate()``, not here.
    public init(
        lr: Double = 1, maxIterations: Int = 20, maxEvaluations: Int? = nil,
        toleranceGradient: Double = 1e-7, toleranceChange: Double? = nil, historySize: Int = 100,
        historyDType: HistoryDType? = nil, lineSearch: LineSearchFunction? = nil,
        mode: Mode = .torch,
        noise: Noise? = nil,
        toleranceGradientRelative: Double = 0, toleranceLossRelative: Double = 0,
        reuseEvaluation: Bool? = nil
    ) {
        self.lr = lr
        self.maxIterations = maxIterations
        self.maxEvaluations =
            maxEvaluations ?? Options.defaultMaxEvaluations(maxIterations: maxIterations)
        self.toleranceGradient = toleranceGradient
        self.toleranceGradientRelative = toleranceGradientRelative
        self.toleranceChange = toleranceChange ?? (mode == .robust ? 0 : 1e-9)
        self.toleranceLossRelative = toleranceLossRelative
        self.historySize = historySize
        self.historyDType = historyDType
        self.lineSearch = lineSearch
        self.mode = mode
        self.noise = noise
        self.reuseEvaluation = reuseEvaluation ?? (mode == .robust)
    }

    /// torch's default for `max_eval`, `max_iter * 5 // 4`. It saturates instead of overflowing.
    /// - Parameter maxIterations: torch's `max_iter`.
    /// - Returns: At least 1 for a valid `maxIterations`.
    public static func defaultMaxEvaluations(maxIterations: Int) -> Int {
        let (product, overflow) = maxIterations.multipliedReportingOverflow(by: 5)
        return overflow ? Int.max : product / 4
    }

    /// Reads options. A missing key means the default of the mode, so that options which an older
    /// version stored can be read.
    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        let mode = try values.decodeIfPresent(Mode.self, forKey: .mode) ?? .torch
        var options = Options(
            maxIterations: try values.decodeIfPresent(Int.self, forKey: .maxIterations) ?? 20,
            mode: mode)
        func read<Value: Decodable>(
            _ field: WritableKeyPath<Options, Value>, _ key: CodingKeys
        ) throws {
            guard let value = try values.decodeIfPresent(Value.self, forKey: key) else { return }
            options[keyPath: field] = value
        }
        try read(\.lr, .lr)
        try read(\.maxEvaluations, .maxEvaluations)
        try read(\.toleranceGradient, .toleranceGradient)
        try read(\.toleranceGradientRelative, .toleranceGradientRelative)
        try read(\.toleranceChange, .toleranceChange)
        try read(\.toleranceLossRelative, .toleranceLossRelative)
        try read(\.historySize, .historySize)
        options.historyDType = try values.decodeIfPresent(
            HistoryDType.self, forKey: .historyDType)
        options.lineSearch = try values.decodeIfPresent(
            LineSearchFunction.self, forKey: .lineSearch)
        options.noise = try values.decodeIfPresent(Noise.self, forKey: .noise)
        try read(\.reuseEvaluation, .reuseEvaluation)
        self = options
    }
}

/// An option whose value is outside its range. Each case carries the value.
public enum OptionError: Error, Equatable, Sendable {
    /// ``Options/lr`` is negative or not finite.
    case lr(Double)
    /// ``Options/lr`` is 0 in robust mode, which could then not move.
    case lrZeroInRobustMode
    /// ``Options/maxIterations`` is less than 1.
    case maxIterations(Int)
    /// ``Options/maxEvaluations`` is less than 1.
    case maxEvaluations(Int)
    /// ``Options/toleranceGradient`` is negative or NaN.
    case toleranceGradient(Double)
    /// ``Options/toleranceGradientRelative`` is negative or NaN.
    case toleranceGradientRelative(Double)
    /// ``Options/toleranceChange`` is negative or NaN.
    case toleranceChange(Double)
    /// ``Options/toleranceLossRelative`` is negative or NaN.
    case toleranceLossRelative(Double)
    /// ``Options/historySize`` is less than 1.
    case historySize(Int)
    /// ``Options/lineSearch`` is a search that torch does not have, in torch mode.
    case lineSearchNeedsRobustMode(Options.LineSearchFunction)
    /// ``Options/noise`` is not at least 0 and below 1.
    case noise(Double)
    /// ``Options/mode`` is torch, which has no bounds, and the optimizer has some.
    case boundsNeedRobustMode
    /// ``Options/mode`` is torch, which has no L1 term, and the optimizer has one.
    case l1NeedsRobustMode

    /// The option's name in torch's spelling.
    public var option: String {
        switch self {
        case .lr, .lrZeroInRobustMode: "lr"
        case .maxIterations: "max_iter"
        case .maxEvaluations: "max_eval"
        case .toleranceGradient: "tolerance_grad"
        case .toleranceGradientRelative: "tolerance_grad_relative"
        case .toleranceChange: "tolerance_change"
        case .toleranceLossRelative: "tolerance_loss_relative"
        case .historySize: "history_size"
        case .lineSearchNeedsRobustMode: "line_search_fn"
        case .noise: "noise"
        case .boundsNeedRobustMode, .l1NeedsRobustMode: "mode"
        }
    }

    /// What is allowed, and what the value was: a sentence that begins after the option's name.
    public var reason: String {
        switch self {
        case .lr(let value): "must be a finite number of at least 0, not \(value)"
        case .lrZeroInRobustMode: "must be more than 0 in mode robust"
        case .maxIterations(let value), .maxEvaluations(let value), .historySize(let value):
            "must be at least 1, not \(value)"
        case .toleranceGradient(let value), .toleranceChange(let value),
            .toleranceGradientRelative(let value), .toleranceLossRelative(let value):
            "must be a number of at least 0, not \(value)"
        case .lineSearchNeedsRobustMode(let search): "\(search.rawValue) needs mode robust"
        case .noise(let value):
            "must be float64, float32 or a number from 0 to below 1, not \(value)"
        case .boundsNeedRobustMode: "must be robust, because there are bounds"
        case .l1NeedsRobustMode: "must be robust, because there is an L1 term"
        }
    }
}

extension Options {
    /// Checks all options. O(1).
    /// - Throws: The first option that is out of range.
    public func validate() throws(OptionError) {
        guard lr.isFinite, lr >= 0 else { throw .lr(lr) }
        guard maxIterations >= 1 else { throw .maxIterations(maxIterations) }
        guard maxEvaluations >= 1 else { throw .maxEvaluations(maxEvaluations) }
        guard toleranceGradient >= 0 else { throw .toleranceGradient(toleranceGradient) }
        guard toleranceGradientRelative >= 0 else {
            throw .toleranceGradientRelative(toleranceGradientRelative)
        }
        guard toleranceChange >= 0 else { throw .toleranceChange(toleranceChange) }
        guard toleranceLossRelative >= 0 else {
            throw .toleranceLossRelative(toleranceLossRelative)
        }
        guard historySize >= 1 else { throw .historySize(historySize) }
        if case .relative(let epsilon) = noise {
            guard epsilon >= 0, epsilon < 1 else { throw .noise(epsilon) }
        }
        switch (mode, lineSearch) {
        case (.robust, _):
            guard lr > 0 else { throw .lrZeroInRobustMode }
        case (.torch, nil), (.torch, .strongWolfe):
            break
        case (.torch, .moreThuente?), (.torch, .hagerZhang?), (.torch, .backtracking?):
            if let lineSearch { throw .lineSearchNeedsRobustMode(lineSearch) }
        }
    }
}
