import GRDB
import SessionModel

// Ensembles and their members.

extension WriteTransaction {
    mutating func create(
        _ ensemble: EnsembleRecord, members: [(session: NewSession, snapshot: PreparedSnapshot)],
        idempotency: IdempotencyRecord?
    ) throws {
        if let idempotency { try insert(idempotency) }
        guard try database.rows(.ensemble, [ensemble.id.rawValue]).isEmpty else {
            throw StoreError.exists
        }
        guard let id = try database.integer(.newEnsembleID, []) else {
            throw StoreError.corrupt("the table ensemble has no next identifier")
        }
        let row = EnsembleRow(id: id, record: ensemble)
        try database.run(.insertEnsemble, binding: try row.columns().bound)
        for (number, member) in members.enumerated() {
            let session = member.session
            _ = try create(
                session.record, entry: session.entry, snapshot: member.snapshot, idempotency: nil)
            let row = MemberRow(
                ensemble: id, number: number, session: try reading.rowID(session.record.id))
            try database.run(.insertMember, binding: row.row.bound)
        }
    }

    /// Removes a session from its ensemble, if it is in one, and the ensemble with its last member.
    func removeMember(session: Int64) throws {
        guard let row = try database.rows(.memberOfSession, [session]).first else { return }
        try database.run(.deleteMember, [session])
        // A damaged row does not say whose it was.
        guard let member = try? MemberRow(row),
            try database.integer(.anyMember, [member.ensemble]) == nil
        else { return }
        try database.run(.deleteEnsemble, [member.ensemble])
    }

    func abandon(_ member: Int, of id: EnsembleID, _ abandonment: Abandonment) throws {
        let ensemble = try reading.ensemble(id)
        guard let result = try database.rows(.member, [ensemble.id, member]).first else { return }
        var row = try MemberRow(result)
        row.abandonment = abandonment
        try database.run(.updateMember, binding: row.row.bound)
    }

    func finish(_ id: EnsembleID, _ outcome: EnsembleOutcome) throws {
        var row = try reading.ensemble(id)
        row.record.outcome = outcome
        try database.run(.updateEnsemble, binding: try row.columns().bound)
    }

    func delete(_ id: EnsembleID) throws {
        let ensemble = try reading.ensemble(id)
        try database.run(.deleteMembers, [ensemble.id])
        try database.run(.deleteEnsemble, [ensemble.id])
    }
}

extension ReadTransaction {
    /// nil if the session is a member of none, or its row there is damaged. Reads no ensemble's
    /// row, which may be long.
    func ensemble(ofMember session: Int64) throws -> EnsembleID? {
        guard case .text(let text)? = try database.rows(.ensembleOfSession, [session]).first?[0]
        else { return nil }
        return EnsembleID(text)
    }

    /// Throws `.missing`.
    func ensemble(_ id: EnsembleID) throws -> EnsembleRow {
        guard let result = try database.rows(.ensemble, [id.rawValue]).first else {
            throw StoreError.missing
        }
        let row = try EnsembleRow(result)
        guard row.record.id == id else {
            throw StoreError.corrupt("an index leads from ensemble \(id) to another")
        }
        return row
    }

    func ensembles(
        pageSize: Int, after token: PageToken?, tenant: String?
    ) throws -> Page<EnsembleRecord> {
        let below = token?.below ?? .max
        let rows =
            if let tenant {
                try database.rows(.ensemblesOfTenantBelow, [tenant, below, pageSize + 1])
            } else {
                try database.rows(.ensemblesBelow, [below, pageSize + 1])
            }
        let found = try rows.map(EnsembleRow.init)
        return Page(found.map { ($0.id, $0.record) }, size: pageSize)
    }

    /// One damaged session does not hide the other members.
    /// - Parameter logged: All entries in the memtable, copied before this transaction began.
    func members(
        of id: EnsembleID, logged: [SessionID: [JournalEntry]]
    ) throws -> [StoredMember] {
        let ensemble = try ensemble(id)
        return try database.rows(.members, [ensemble.id]).map { result in
            let row = try MemberRow(result, rowIDs: 1)
            guard case .text(let text) = result[0], let session = SessionID(text) else {
                throw StoreError.corrupt("a member of ensemble \(id) has no session")
            }
            let summary = try? summary(self.session(session), logged: logged[session] ?? [])
            return StoredMember(
                number: row.number, session: session, abandonment: row.abandonment,
                summary: summary,
                lastStep: summary == nil ? nil : try? newestStep(row.session, upTo: Int.max))
        }
    }
}
