package import struct Foundation.Date

/// Which sessions are deleted together: those that meet all of it.
public struct PurgeCriteria: Equatable, Sendable {
    public var label: SessionQuery.Label?
    public var name: String?
    public var isUnnamed = false
    public var state: SessionPhase?
    public var mode: Options.Mode?
    /// Those that have not changed for so many seconds.
    public var inactiveSeconds: Int?

    public init() {}

    /// Whether all sessions meet it.
    package var isEmpty: Bool { self == PurgeCriteria() }

    /// - Parameter date: Now.
    package func query(at date: Date) -> SessionQuery {
        var query = SessionQuery(
            label: label, name: name, state: state, mode: mode, order: .updated,
            isDescending: false)
        query.isUnnamed = isUnnamed
        query.unchangedSince = inactiveSeconds.map { date.addingTimeInterval(-Double($0)) }
        return query
    }
}

/// What a purge found and did.
public struct PurgeOutcome: Equatable, Sendable {
    /// How many sessions met the criteria.
    public var count: Int
    /// The first of them, the least recently changed first.
    public var sessions: [SessionID]
    /// How many were deleted; nil if that was not asked for.
    public var deleted: Int?
    /// Whether some that met the criteria were left to another request.
    public var hasMore: Bool

    package init(count: Int, sessions: [SessionID], deleted: Int? = nil, hasMore: Bool = false) {
        self.count = count
        self.sessions = sessions
        self.deleted = deleted
        self.hasMore = hasMore
    }
}
