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

/// How the parameters of a state dict are matched with a session's.
public enum StateDictMatching: String, Equatable, Sendable, CaseIterable {
    /// As torch does.
    case position
    case name
}
