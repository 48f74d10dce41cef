// Requests to sessions, parsed but not yet compared with the session.

/// A parameter of a session to be created.
public struct ParameterInput: Equatable, Sendable {
    public var name: String?
    public var shape: [Int]
    public var values: Values
    /// Bounds and L1 weights: a number for all, or as many as there are values.
    public var bounds: BoundsInput

    public enum Values: Equatable, Sendable {
        /// Row-major.
        case list([Double])
        /// The same number everywhere; the shape says how many.
        case fill(Double)

        /// nil if there is none.
        public var list: [Double]? {
            if case .list(let values) = self { values } else { nil }
        }
    }

    public init(
        name: String?, shape: [Int], values: Values, bounds: BoundsInput = BoundsInput()
    ) {
        self.name = name
        self.shape = shape
        self.values = values
        self.bounds = bounds
    }

    public init(
        name: String?, shape: [Int], values: [Double], bounds: BoundsInput = BoundsInput()
    ) {
        self.init(name: name, shape: shape, values: .list(values), bounds: bounds)
    }
}

public struct CreateRequest: Sendable {
    public var name: String?
    public var labels: [String: String] = [:]
    public var dtype: DType = .float64
    public var parameters: [ParameterInput]
    /// Whether the parameters came as `x0`, by which errors name them.
    public var isShortForm = false
    public var options = OptionsPatch()
    /// Shards of each evaluation; nil if it is told as a whole.
    public var shardCount: Int?
    /// Seconds without a change after which the session is deleted; `.some(nil)` is never, and nil
    /// the operator's default.
    public var expiresAfter: Int??

    public init(parameters: [ParameterInput]) { self.parameters = parameters }
}

public struct UpdateRequest: Equatable, Sendable {
    /// `.some(nil)` removes the name.
    public var name: String??
    /// Replaces all labels.
    public var labels: [String: String]?
    public var options: OptionsPatch?
    /// `.some(nil)` is never.
    public var expiresAfter: Int??

    public init() {}
}

/// The arguments of a step.
public struct StepRequest: Equatable, Sendable, Codable {
    /// Shards of each of its evaluations; nil for the session's own number.
    public var shards: Int?

    public init(shards: Int? = nil) { self.shards = shards }
}

/// Parameters that join a session: torch's `add_param_group`.
public struct GroupRequest: Equatable, Sendable {
    public var name: String?
    public var parameters: [ParameterInput]

    public init(name: String?, parameters: [ParameterInput]) {
        self.name = name
        self.parameters = parameters
    }
}

public struct GroupUpdate: Equatable, Sendable {
    /// `.some(nil)` removes the name.
    public var name: String??
    public var isFrozen: Bool?

    public init() {}
}

/// If-Match: which states of the session the caller accepts.
public enum Precondition: Equatable, Sendable {
    case none
    /// `*`: it exists.
    case exists
    /// One of these entity tags, as `EntityTag.text` writes them.
    case oneOf([String])
}
