public import SessionModel

extension SQLiteStore {
    public func create(
        _ ensemble: EnsembleRecord, members: [NewSession], idempotency: IdempotencyRecord?
    ) async throws(StoreError) {
        let prepared = members.map { (session: $0, snapshot: PreparedSnapshot($0.snapshot)) }
        let bytes = prepared.reduce(0) { $0 + $1.snapshot.bytes }
        try await write(bytes: bytes) { transaction in
            try transaction.create(ensemble, members: prepared, idempotency: idempotency)
        }
    }

    public func ensemble(_ id: EnsembleID) async throws(StoreError) -> EnsembleRecord {
        try await read { transaction in try transaction.ensemble(id).record }
    }

    public func members(of id: EnsembleID) async throws(StoreError) -> [StoredMember] {
        let logged = memtable.all
        return try await read { transaction in try transaction.members(of: id, logged: logged) }
    }

    public func ensembles(
        pageSize: Int, after: PageToken?, tenant: String?
    ) async throws(StoreError) -> Page<EnsembleRecord> {
        try await read { transaction in
            try transaction.ensembles(pageSize: pageSize, after: after, tenant: tenant)
        }
    }

    public func ensembleCount(of tenant: String) async throws(StoreError) -> Int {
        try await read { transaction in
            Int(try transaction.database.integer(.ensembleCountOfTenant, [tenant]) ?? 0)
        }
    }

    public func abandon(
        _ member: Int, of id: EnsembleID, _ abandonment: Abandonment
    ) async throws(StoreError) {
        try await write { transaction in try transaction.abandon(member, of: id, abandonment) }
    }

    public func finish(
        _ id: EnsembleID, _ outcome: EnsembleOutcome
    ) async throws(StoreError) {
        try await write { transaction in try transaction.finish(id, outcome) }
    }

    public func delete(_ id: EnsembleID) async throws(StoreError) {
        try await write(isRemoval: true) { transaction in try transaction.delete(id) }
    }
}
