/// torch's state dict.
public struct StateDict: Equatable, Sendable {
    public struct Group: Equatable, Sendable {
        /// Numbers of the group's parameters.
        public var params: [Int]
        public var paramNames: [String]?
        public var name: String?
        /// In a dict to be loaded, nil means unchanged.
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

    /// The precision of its vectors; nil when its representation does not say.
    public var dtype: DType?
    /// The state of the first parameter, where torch keeps it; nil when `state` is empty.
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

/// How the parameters of a state dict are matched with a session's.
public enum StateDictMatching: String, Equatable, Sendable, CaseIterable {
    /// As torch does.
    case position
    case name
}
