/// An ensemble to be created.
public struct EnsembleRequest: Sendable {
    /// Starts that the client gave, or how to choose them.
    public enum Starts: Equatable, Sendable {
        case given([[Double]])
        case designed(StartDesign, count: Int)
    }

    public var name: String?
    public var labels: [String: String] = [:]
    public var dtype: DType = .float64
    /// nil for one unnamed parameter; then `count` says how many numbers it has, or the starts do.
    public var parameters: [ParameterSpec]?
    public var count: Int?
    public var starts: Starts
    public var lower: [Double]?
    public var upper: [Double]?
    public var options = OptionsPatch()
    public var stop = EnsembleStopRule()
    public var stagnation: StagnationRule?
    public var basin: BasinRule?
    /// As of a session.
    public var expiresAfter: Int??

    public init(starts: Starts) { self.starts = starts }
}

/// A request for points to evaluate.
public struct EnsembleAsk: Equatable, Sendable {
    public static let secondsDefault = 60.0

    public var count: Int
    public var worker: String
    /// How long the points are offered to nobody else.
    public var seconds: Double

    public init(count: Int = 1, worker: String = "worker", seconds: Double = secondsDefault) {
        self.count = count
        self.worker = worker
        self.seconds = seconds
    }
}
