public import SessionModel

/// Something in a data directory that is not what was written, or contradicts something else.
public struct StoreFinding: Equatable, Sendable {
    /// nil if it concerns no session, or nobody can say which.
    public var session: SessionID?
    /// Relative to the data directory.
    public var file: String
    /// The byte of the file, if it is known. Rows have none: SQLite moves them.
    public var offset: Int?
    public var what: String

    public init(session: SessionID? = nil, file: String, offset: Int? = nil, what: String) {
        self.session = session
        self.file = file
        self.offset = offset
        self.what = what
    }

    static let tables = "lbfgsd.sqlite"
}

/// What a verification came to.
public struct StoreVerification: Equatable, Sendable {
    /// Damage.
    public var findings: [StoreFinding] = []
    /// What a crash or an upgrade explains.
    public var notes: [StoreFinding] = []
    public var sessions = 0
    /// Bytes of vectors and payloads that were read.
    public var bytes = 0
    /// Journal entries that were replayed.
    public var entriesReplayed = 0

    public init() {}
}
