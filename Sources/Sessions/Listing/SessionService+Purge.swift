// Deletion of many sessions at once.

extension SessionService {
    /// Sessions that one request deletes at most, and how long it takes for them at most.
    private static let purgedMax = 1_000
    private static let purgeSeconds = 10.0
    /// Deletions at a time, which share syncs.
    private static let purgedAtOnce = 16
    private static let shownMax = 100

    /// Deletes the tenant's sessions that the query asks for, unless they change in between; with
    /// `isForced` false says only which they are. What can't be deleted is left.
    public func purge(
        _ criteria: PurgeCriteria, isForced: Bool, tenant: String = SessionRecord.defaultTenant
    ) async throws(SessionError) -> PurgeOutcome {
        try check(criteria)
        let query = criteria.query(at: now())
        let (found, count) = try await catalogSessions(Self.purgedMax, of: query, tenant: tenant)
        let ids = found.map(\.record.id)
        guard isForced else {
            return PurgeOutcome(
                count: count, sessions: Array(ids.prefix(Self.shownMax)))
        }
        let (deleted, isComplete) = await delete(found)
        return PurgeOutcome(
            count: count, sessions: Array(deleted.prefix(Self.shownMax)), deleted: deleted.count,
            hasMore: count > found.count || !isComplete)
    }

    private func check(_ criteria: PurgeCriteria) throws(SessionError) {
        if criteria.isEmpty {
            throw .invalid([
                FieldError(
                    field: "body",
                    reason: "must have at least one of label, unnamed, name, state, mode and "
                        + "inactive_seconds")
            ])
        }
        if let seconds = criteria.inactiveSeconds, !(0...Limits.inactiveSecondsMax ~= seconds) {
            throw .invalid([
                FieldError(
                    field: "inactive_seconds",
                    reason: "must be from 0 to \(Limits.inactiveSecondsMax)")
            ])
        }
        if criteria.isUnnamed, criteria.name != nil {
            throw .invalid([
                FieldError(field: "unnamed", reason: "must not be true beside a name")
            ])
        }
    }

    /// Deletes those that have not changed since. The second value is false if time ran out.
    private func delete(
        _ sessions: [SessionSummary]
    ) async -> (deleted: [SessionID], isComplete: Bool) {
        let clock = ContinuousClock()
        let deadline = clock.now + .seconds(Self.purgeSeconds)
        var deleted: [SessionID] = []
        var rest = sessions[...]
        while !rest.isEmpty {
            if clock.now >= deadline { return (deleted, false) }
            let part = rest.prefix(Self.purgedAtOnce)
            rest = rest.dropFirst(part.count)
            deleted += await withTaskGroup(of: SessionID?.self) { group in
                for session in part {
                    group.addTask { await self.deleteUnchanged(session) }
                }
                return await group.reduce(into: []) { if let id = $1 { $0.append(id) } }
            }
        }
        return (deleted, true)
    }

    private func deleteUnchanged(_ session: SessionSummary) async -> SessionID? {
        let tag = EntityTag(
            sequence: session.sequence, metadataVersion: session.record.metadataVersion)
        do throws(SessionError) {
            try await delete(session.record.id, precondition: .oneOf([tag.text]))
            return session.record.id
        } catch {
            return nil
        }
    }
}
