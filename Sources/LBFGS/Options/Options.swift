/// The options of `torch.optim.LBFGS`, with its names and its defaults, and those of robust mode.
///
/// They are read when a step begins: a change made while a step runs takes effect with the next
/// one, as editing `param_groups[0]` inside a closure does in torch.
public struct Options: Equatable, Sendable, Codable {
    /// How a step length is found along the search direction.
    public enum LineSearchFunction: String, Equatable, Sendable, Codable, CaseIterable {
        /// Bracketing and zoom until the strong Wolfe conditions hold (Nocedal & Wright 2006,
        /// algorithms 3.5 and 3.6), c1 = 1e-4, c2 = 0.9.
        case strongWolfe = "strong_wolfe"
        /// Moré & Thuente 1994, as MINPACK's `dcsrch`. Needs robust mode.
        case moreThuente = "more_thuente"
        /// Hager & Zhang 2005, with approximate Wolfe conditions. Needs robust mode.
        case hagerZhang = "hager_zhang"
        /// Sufficient decrease only, for losses that cost much less than their gradients promise.
        /// Needs robust mode.
        case backtracking
    }

    /// Which trajectories the engine follows.
    public enum Mode: String, Equatable, Sendable, Codable, CaseIterable {
        /// Those of `torch.optim.LBFGS`.
        case torch
        /// The engine's own: decisions that hold whatever the scale of the problem and the
        /// precision of its evaluation, and a step that ends at the best point it has seen.
        case robust
    }

    /// First trial step length of each iteration; in the first iteration of a run it is scaled by
    /// min(1, 1 / ||g||_1). Finite, at least 0; default 1. Below 1 when steps overshoot and no
    /// line search is used. In robust mode it scales the first trial of a run's first iteration,
    /// and nothing else; more than 0.
    public var lr: Double
    /// Iterations a step may take at most. At least 1; default 20.
    public var maxIterations: Int
    /// Evaluations after which a step ends. At least 1; default `maxIterations * 5 / 4`. Robust
    /// mode never exceeds it; torch mode may, by one.
    public var maxEvaluations: Int
    /// A step ends when ||g||_inf is at most this. At least 0; default 1e-7.
    public var toleranceGradient: Double
    /// A step ends when ||g||_inf is at most this times what it was at the first evaluation of the
    /// optimizer's life. At least 0; default 0, which is off. Does not depend on the scale of the
    /// loss.
    public var toleranceGradientRelative: Double
    /// A step ends when ||t d||_inf is at most this, when the loss changes by less, or when
    /// g.d > -this. At least 0; default 1e-9, in robust mode 0, which is off. Absolute, as in
    /// torch: scale it with the problem.
    public var toleranceChange: Double
    /// A step ends when an iteration changes the loss by at most this times the larger of the two
    /// losses. At least 0; default 0, which is off.
    public var toleranceLossRelative: Double
    /// Curvature pairs kept, each 2n numbers. At least 1; default 100.
    public var historySize: Int
    /// Precision in which curvature pairs are kept; nil, the default, is that of the parameters.
    /// A change takes effect with the next step, for pairs that are made from then on.
    public var historyDType: HistoryDType?
    /// nil moves by `lr` without a search in torch mode, and is `.hagerZhang` in robust mode.
    public var lineSearch: LineSearchFunction?
    /// Default `.torch`.
    public var mode: Mode
    /// The precision of the caller's evaluation, which only robust mode asks for; nil, the
    /// default, is that of the optimizer's own numbers.
    public var noise: Noise?
    /// Whether a step begins without an evaluation where loss and gradient are known from the step
    /// before. Default: only in robust mode. Off when the loss changes between steps, as with
    /// mini-batches.
    public var reuseEvaluation: Bool

    /// Arguments that are left out take the default of their mode.
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

    /// torch's default, `max_iter * 5 // 4`; saturates instead of overflowing, and is at least 1
    /// for a valid `maxIterations`.
    public static func defaultMaxEvaluations(maxIterations: Int) -> Int {
        let (product, overflow) = maxIterations.multipliedReportingOverflow(by: 5)
        return overflow ? Int.max : product / 4
    }

    /// A key that is missing takes the default of its mode, so that options stored by an older
    /// version can be read.
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

/// An option with a value outside its range.
public enum OptionError: Error, Equatable, Sendable {
    case lr(Double)
    /// Robust mode has to move.
    case lrZeroInRobustMode
    case maxIterations(Int)
    case maxEvaluations(Int)
    case toleranceGradient(Double)
    case toleranceGradientRelative(Double)
    case toleranceChange(Double)
    case toleranceLossRelative(Double)
    case historySize(Int)
    /// A line search that torch doesn't have.
    case lineSearchNeedsRobustMode(Options.LineSearchFunction)
    case noise(Double)

    /// torch's name of the option.
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
        }
    }

    /// What was wrong and what is allowed.
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
        }
    }
}

extension Options {
    /// Throws the first option that is out of range.
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
