// What callers ask of sessions, after parsing and before validation against the session.

/// A parameter of a session to be created.
public struct ParameterInput: Equatable, Sendable {
    public var name: String?
    public var shape: [Int]
    public var values: Values

    public enum Values: Equatable, Sendable {
        /// Row-major.
        case list([Double])
        /// All numbers are this one; how many says the shape.
        case fill(Double)

        /// nil if there is none.
        public var list: [Double]? {
            if case .list(let values) = self { values } else { nil }
        }
    }

    public init(name: String?, shape: [Int], values: Values) {
        self.name = name
        self.shape = shape
        self.values = values
    }

    public init(name: String?, shape: [Int], values: [Double]) {
        self.init(name: name, shape: shape, values: .list(values))
    }
}

/// Options to set; nil leaves one as it is.
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
    /// `.some(nil)`: that of the session's own numbers.
    public var noise: Noise??
    public var toleranceGradientRelative: Double?
    public var toleranceLossRelative: Double?
    public var reuseEvaluation: Bool?
    /// Fixed at creation: afterwards it can only be repeated.
    public var maximize: Bool?

    public init() {}
}

public struct CreateRequest: Sendable {
    public var name: String?
    public var labels: [String: String] = [:]
    public var dtype: DType = .float64
    public var parameters: [ParameterInput]
    /// Whether the parameters came as `x0`, which decides how errors name them.
    public var isShortForm = false
    public var options = OptionsPatch()
    /// Shards of each evaluation; nil: it is told as a whole.
    public var shardCount: Int?

    public init(parameters: [ParameterInput]) { self.parameters = parameters }
}

public struct UpdateRequest: Equatable, Sendable {
    /// `.some(nil)` removes the name.
    public var name: String??
    /// Replaces all labels.
    public var labels: [String: String]?
    public var options: OptionsPatch?

    public init() {}
}

/// A gradient as a client tells it.
public enum GradientInput: Equatable, Sendable {
    /// All parameters one after the other.
    case flat([Double])
    /// By parameter name; nil or absent is torch's `grad is None`: zeros.
    case named([String: [Double]?])
    /// All parameters one after the other, in the session's dtype, little-endian.
    case octets([UInt8])
    /// The same, where it is already.
    case vector(ArrivedVector)
    /// By parameter name; absent is zeros.
    case tensors([String: TensorInput])
    /// All parameters one after the other.
    case array(TensorInput)
    /// Tensors of which it was found before they came that they don't fit.
    case misfit(Misfit)
}

public enum TellRequest: Equatable, Sendable {
    case evaluated(loss: Double, gradient: GradientInput)
    /// The client could not evaluate the point: it is infeasible.
    case failed(reason: String)

    /// The gradient, if it came as it stays.
    var arrived: ArrivedVector? {
        if case .evaluated(_, .vector(let arrived)) = self { arrived } else { nil }
    }

    /// Of the result, if it was made while it came.
    var digest: Digest? {
        if case .evaluated(let loss, .vector(let arrived)) = self {
            arrived.digest(with: loss)
        } else {
            nil
        }
    }
}

/// New values for the parameters.
public enum ParametersInput: Equatable, Sendable {
    case flat([Double])
    /// By name or, where parameters have none, by position ("0", "1" ...); all of them.
    case named([String: [Double]])
    /// In the session's dtype, little-endian.
    case octets([UInt8])
    /// The same, where it is already.
    case vector(ArrivedVector)
    /// By name or position; all of them.
    case tensors([String: TensorInput])
    /// All parameters one after the other.
    case array(TensorInput)
    /// Tensors of which it was found before they came that they don't fit.
    case misfit(Misfit)
}

/// What a step is begun with.
public struct StepRequest: Equatable, Sendable, Codable {
    /// Shards of each of its evaluations; nil: as many as the session says.
    public var shards: Int?

    public init(shards: Int? = nil) { self.shards = shards }
}

/// Parameters that join: torch's `add_param_group`.
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

/// How the parameters of a state dict are matched with a session's.
public enum StateDictMatching: String, Equatable, Sendable, CaseIterable {
    /// As torch does.
    case position
    case name
}

/// torch's state dict.
public struct StateDict: Equatable, Sendable {
    public struct Group: Equatable, Sendable {
        /// Numbers of the group's parameters.
        public var params: [Int]
        public var paramNames: [String]?
        public var name: String?
        /// nil, in a dict to be loaded: as it is.
        public var isFrozen: Bool?

        public init(
            params: [Int], paramNames: [String]? = nil, name: String? = nil,
            isFrozen: Bool? = nil
        ) {
            self.params = params
            self.paramNames = paramNames
            self.name = name
            self.isFrozen = isFrozen
        }
    }

    /// The precision of its vectors; nil when the form that it came in doesn't say.
    public var dtype: DType?
    /// What sits under the first parameter; nil when `state` is empty.
    public var state: TorchState<Double>?
    /// Every group's options; in a dict to be loaded, those that are present.
    public var options: OptionsPatch
    public var groups: [Group]

    public init(
        dtype: DType? = nil, state: TorchState<Double>?, options: OptionsPatch, groups: [Group]
    ) {
        self.dtype = dtype
        self.state = state
        self.options = options
        self.groups = groups
    }
}

/// A client's Idempotency-Key, and the digest of the request that came with it.
public struct IdempotencyKey: Equatable, Sendable {
    public var key: String
    public var requestDigest: Digest

    public init(key: String, requestDigest: Digest) {
        self.key = key
        self.requestDigest = requestDigest
    }
}

/// If-Match: which states of the session the caller accepts.
public enum Precondition: Equatable, Sendable {
    case none
    /// `*`: it exists.
    case exists
    /// One of these entity tags, as `EntityTag.text` writes them.
    case oneOf([String])
}
