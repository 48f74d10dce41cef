/// The options of `torch.optim.LBFGS`, with its names and its defaults.
///
/// They are read when a step begins: a change made while a step runs takes effect with the next
/// one, as editing `param_groups[0]` inside a closure does in torch.
public struct Options: Equatable, Sendable, Codable {
    /// How a step length is found along the search direction.
    public enum LineSearchFunction: String, Equatable, Sendable, Codable, CaseIterable {
        /// Bracketing and zoom until the strong Wolfe conditions hold (Nocedal & Wright 2006,
        /// algorithms 3.5 and 3.6), c1 = 1e-4, c2 = 0.9.
        case strongWolfe = "strong_wolfe"
    }

    /// Which trajectories the engine follows.
    public enum Mode: String, Equatable, Sendable, Codable, CaseIterable {
        /// Those of `torch.optim.LBFGS`.
        case torch
    }

    /// First trial step length of each iteration; in the first iteration of a run it is scaled by
    /// min(1, 1 / ||g||_1). Finite, at least 0; default 1. Below 1 when steps overshoot and no
    /// line search is used.
    public var lr: Double
    /// Iterations a step may take at most. At least 1; default 20.
    public var maxIterations: Int
    /// Evaluations after which a step ends. At least 1; default `maxIterations * 5 / 4`.
    public var maxEvaluations: Int
    /// A step ends when ||g||_inf is at most this. At least 0; default 1e-7.
    public var toleranceGradient: Double
    /// A step ends when ||t d||_inf is at most this, when the loss changes by less, or when
    /// g.d > -this. At least 0; default 1e-9. Absolute, as in torch: scale it with the problem.
    public var toleranceChange: Double
    /// Curvature pairs kept, each 2n numbers. At least 1; default 100.
    public var historySize: Int
    /// Precision in which curvature pairs are kept; nil, the default, is that of the parameters.
    /// A change takes effect with the next step, for pairs that are made from then on.
    public var historyDType: HistoryDType?
    /// nil moves by `lr` without a search.
    public var lineSearch: LineSearchFunction?
    /// Default `.torch`.
    public var mode: Mode

    public init(
        lr: Double = 1, maxIterations: Int = 20, maxEvaluations: Int? = nil,
        toleranceGradient: Double = 1e-7, toleranceChange: Double = 1e-9, historySize: Int = 100,
        historyDType: HistoryDType? = nil, lineSearch: LineSearchFunction? = nil,
        mode: Mode = .torch
    ) {
        self.lr = lr
        self.maxIterations = maxIterations
        self.maxEvaluations =
            maxEvaluations ?? Options.defaultMaxEvaluations(maxIterations: maxIterations)
        self.toleranceGradient = toleranceGradient
        self.toleranceChange = toleranceChange
        self.historySize = historySize
        self.historyDType = historyDType
        self.lineSearch = lineSearch
        self.mode = mode
    }

    /// torch's default, `max_iter * 5 // 4`; saturates instead of overflowing, and is at least 1
    /// for a valid `maxIterations`.
    public static func defaultMaxEvaluations(maxIterations: Int) -> Int {
        let (product, overflow) = maxIterations.multipliedReportingOverflow(by: 5)
        return overflow ? Int.max : product / 4
    }
}

/// An option with a value outside its range.
public enum OptionError: Error, Equatable, Sendable {
    case lr(Double)
    case maxIterations(Int)
    case maxEvaluations(Int)
    case toleranceGradient(Double)
    case toleranceChange(Double)
    case historySize(Int)

    /// torch's name of the option.
    public var option: String {
        switch self {
        case .lr: "lr"
        case .maxIterations: "max_iter"
        case .maxEvaluations: "max_eval"
        case .toleranceGradient: "tolerance_grad"
        case .toleranceChange: "tolerance_change"
        case .historySize: "history_size"
        }
    }

    /// What was wrong and what is allowed.
    public var reason: String {
        switch self {
        case .lr(let value): "must be a finite number of at least 0, not \(value)"
        case .maxIterations(let value), .maxEvaluations(let value), .historySize(let value):
            "must be at least 1, not \(value)"
        case .toleranceGradient(let value), .toleranceChange(let value):
            "must be a number of at least 0, not \(value)"
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
        guard toleranceChange >= 0 else { throw .toleranceChange(toleranceChange) }
        guard historySize >= 1 else { throw .historySize(historySize) }
    }
}
