/// Options to set. An option that is nil stays as it is.
public struct OptionsPatch: Equatable, Sendable {
    public var lr: Double?
    public var maxIterations: Int?
    public var maxEvaluations: Int?
    public var toleranceGradient: Double?
    public var toleranceChange: Double?
    public var historySize: Int?
    public var historyDType: HistoryDType?
    /// `.some(nil)` sets torch's `None`.
    public var lineSearch: Options.LineSearchFunction??
    public var mode: Options.Mode?
    /// `.some(nil)` sets that of the session's own precision.
    public var noise: Noise??
    public var toleranceGradientRelative: Double?
    public var toleranceLossRelative: Double?
    public var reuseEvaluation: Bool?
    /// Fixed at creation. Later it may only be repeated.
    public var maximize: Bool?

    public init() {}
}
