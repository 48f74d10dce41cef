/// The bounds and L1 weights of a session.
public struct BoundsView: Equatable, Sendable {
    public var specs: [ParameterSpec]
    public var dtype: DType
    /// n: numbers in all parameters together.
    public var count: Int
    /// The numbers, which the session's precision represents.
    public var bounds: BoundsInput
    /// How many numbers of x the bounds moved; nil unless they were just set.
    public var projected: Int?
    public var tag: EntityTag

    package init(
        specs: [ParameterSpec], dtype: DType, count: Int, bounds: BoundsInput,
        projected: Int? = nil, tag: EntityTag
    ) {
        self.specs = specs
        self.dtype = dtype
        self.count = count
        self.bounds = bounds
        self.projected = projected
        self.tag = tag
    }
}

/// Some of the bounds that are active.
public struct ActiveSetView: Equatable, Sendable {
    /// A parameter's number, and the tensor that it is in.
    public struct Entry: Equatable, Sendable {
        public var bound: ActiveBound
        /// The tensor's name, or its position where parameters have none.
        public var parameter: String
        /// The number's place in the tensor, row-major.
        public var offset: Int
        /// The bound: the number's value.
        public var value: Double

        package init(bound: ActiveBound, parameter: String, offset: Int, value: Double) {
            self.bound = bound
            self.parameter = parameter
            self.offset = offset
            self.value = value
        }
    }

    public var session: SessionID
    /// How many bounds are active altogether.
    public var count: Int
    public var entries: [Entry]
    /// The index from which the rest follows; nil if there is none.
    public var next: Int?
    public var tag: EntityTag

    package init(
        session: SessionID, count: Int, entries: [Entry], next: Int?, tag: EntityTag
    ) {
        self.session = session
        self.count = count
        self.entries = entries
        self.next = next
        self.tag = tag
    }
}
