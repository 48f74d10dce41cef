internal import Synchronization

internal import struct Foundation.Date

extension SessionService {
    /// Durable when it returns. O(n).
    public func create(
        _ request: CreateRequest, tenant: String = SessionRecord.defaultTenant,
        idempotency key: IdempotencyKey? = nil
    ) async throws(SessionError) -> Outcome<SessionView> {
        // Keys from before there were tenants keep their scope. No other tenant's name gives it.
        let scope = tenant == SessionRecord.defaultTenant ? "sessions" : "sessions@\(tenant)"
        if let earlier = try await earlierSession(key, scope: scope) { return earlier }
        try limits.checkDiskReserve(of: store)
        let expiresAfter = try limits.expiresAfter(request.expiresAfter)
        let state = try initialState(request)
        let vectors = 4 + state.engine.sessionBounds.footprint.vectors
        return try await insert(
            state, name: request.name, labels: request.labels, expiresAfter: expiresAfter,
            origin: nil, tenant: tenant,
            diskBytes: vectors * state.layout.count * request.dtype.size + (16 << 10), scope: scope,
            key)
    }

    /// A new session that starts where the checkpoint stands, sharing its stored pairs.
    public func fork(
        _ id: SessionID, checkpoint number: CheckpointNumber, name: String? = nil,
        labels: [String: String]? = nil, idempotency key: IdempotencyKey? = nil
    ) async throws(SessionError) -> Outcome<SessionView> {
        let scope = "\(id)/checkpoints/\(number)/fork"
        if let earlier = try await earlierSession(key, scope: scope) { return earlier }
        try limits.checkDiskReserve(of: store)
        try limits.checkMetadata(name: name, labels: labels ?? [:])
        let (state, record) = try await withSecondState(of: id) {
            () async throws(SessionError) in
            try await withSession(id) { try await $0.forkSource(number) }
        }
        // Its first snapshot shares vectors of the checkpoint, which count for both.
        let diskBytes = try await read(id) { store throws(StoreError) in
            try await store.diskBytes(id)
        }
        return try await insert(
            state, name: name ?? record.name, labels: labels ?? record.labels,
            expiresAfter: record.expiresAfter,
            origin: Origin(session: id.rawValue, checkpoint: number), tenant: record.tenant,
            diskBytes: diskBytes, scope: scope, key)
    }

    typealias Beginning =
        (SessionState, Date) -> (state: SessionState, change: SessionState.Change)

    /// - Parameter begin: The first state, and the change that creates it. By default, a running
    ///   step is numbered from 1.
    func insert(
        _ state: SessionState, name: String?, labels: [String: String], expiresAfter: Int?,
        origin: Origin?, tenant: String, diskBytes: Int, scope: String, _ key: IdempotencyKey?,
        beginning begin: Beginning = { $0.forked(at: $1) }
    ) async throws(SessionError) -> Outcome<SessionView> {
        var generator = SystemRandomNumberGenerator()
        let id = SessionID.random(using: &generator)
        var isCreated = false
        let begins = now()
        let isShuttingDown = resident.withLock { resident in
            if !resident.isShuttingDown { resident.begin(id, loading: nil, at: begins) }
            return resident.isShuttingDown
        }
        if isShuttingDown { throw .shuttingDown }
        defer { if !isCreated { resident.withLock { $0.remove(id) } } }
        try await reserveSession(diskBytes: diskBytes, for: tenant)
        defer {
            if !isCreated { tenants.release(sessions: 1, diskBytes: diskBytes, of: tenant) }
        }
        try await reserveMemory(state.memoryBytesEstimate, for: id, tenant: tenant)
        do {
            let count = try await store.sessionCount()
            guard count < limits.sessionsMax else {
                throw SessionError.overloaded(
                    limit: .sessions, maximum: limits.sessionsMax, retryAfterSeconds: 60)
            }
            let time = now()
            var (first, change) = begin(state, time)
            let record = SessionRecord(
                id: id, name: name, labels: labels, dtype: first.dtype,
                parameters: first.layout.parameters, origin: origin, createdAt: time,
                metadataVersion: 1, memoryBytes: first.memoryBytesEstimate, tenant: tenant,
                expiresAfter: expiresAfter)
            let snapshot = StateCodec.draft(of: first)
            try limits.checkDiskReserve(of: store, writing: snapshot.newBytes)
            let vectors = try await store.create(
                record, entry: change.entry, snapshot: snapshot,
                idempotency: key.map {
                    IdempotencyRecord(
                        scope: scope, key: $0.key, requestDigest: $0.requestDigest,
                        outcome: id.rawValue, createdAt: time)
                })
            isCreated = true
            let written = tenants.diskUsage(of: tenant) == nil ? 0 : try? await store.diskBytes(id)
            tenants.created(id, written ?? diskBytes, of: tenant, reserved: diskBytes)
            catalog.note(
                SessionSummary(record: record, createdWith: change.entry), of: tenant)
            feed.publish([.created(id)], of: record)
            first.storedPairs = StateCodec.pairs(in: vectors)
            first.storedBounds = StateCodec.bounds(in: vectors)
            await adopt(record, first)
        } catch let error as SessionError {
            throw error
        } catch StoreError.duplicateKey(let earlier) {
            return try await replay(earlier, key)
        } catch let error as StoreError {
            throw SessionError(error, session: id)
        } catch {
            throw .storageFailed("\(error)")
        }
        return Outcome(try await view(id))
    }

    func earlierSession(
        _ key: IdempotencyKey?, scope: String
    ) async throws(SessionError) -> Outcome<SessionView>? {
        guard let key else { return nil }
        let earlier: IdempotencyRecord?
        do {
            earlier = try await store.idempotencyRecord(scope: scope, key: key.key)
        } catch {
            throw SessionError(error)
        }
        guard let earlier else { return nil }
        return try await replay(earlier, key)
    }

    private func replay(
        _ earlier: IdempotencyRecord, _ key: IdempotencyKey?
    ) async throws(SessionError) -> Outcome<SessionView> {
        guard earlier.requestDigest == key?.requestDigest,
            let id = SessionID(earlier.outcome)
        else { throw .idempotencyKeyReused(earlier.key) }
        return Outcome(try await view(id), isReplay: true)
    }

    public func view(_ id: SessionID) async throws(SessionError) -> SessionView {
        try await withDiskBytes(try await withSession(id) { try await $0.view() })
    }

    public func update(
        _ id: SessionID, _ request: UpdateRequest, precondition: Precondition = .none
    ) async throws(SessionError) -> SessionView {
        try await withDiskBytes(
            try await withSession(id) {
                try await $0.update(request, precondition: precondition)
            })
    }

    /// Adds what only the store knows; it need not be of the same moment.
    private func withDiskBytes(_ view: SessionView) async throws(SessionError) -> SessionView {
        var view = view
        let id = view.record.id
        view.diskBytes = try await read(id) { store throws(StoreError) in
            try await store.diskBytes(id)
        }
        return view
    }

    public func delete(
        _ id: SessionID, precondition: Precondition = .none
    ) async throws(SessionError) {
        do throws(SessionError) {
            try await withSession(id) { session in
                try await session.delete(precondition: precondition)
                forget(id, session)
            }
        } catch {
            // A damaged session has no entity tag that could be compared.
            guard case .corrupt = error, precondition == .none || precondition == .exists else {
                throw error
            }
            try await deleteDamaged(id)
        }
    }

    /// Deletes a session that can't be loaded.
    private func deleteDamaged(_ id: SessionID) async throws(SessionError) {
        let tenant = try await read(id) { store throws(StoreError) in
            let tenant = try await store.tenant(of: id)
            try await store.delete(id)
            return tenant
        }
        resident.withLock { $0.remove(id) }
        tenants.deleted(id, of: tenant)
        catalog.noteDeletion(of: id, of: tenant)
    }

    package func checkedPageSize(_ pageSize: Int?) throws(SessionError) -> Int {
        let size = pageSize ?? limits.pageSizeDefault
        guard (1...limits.pageSizeMax).contains(size) else {
            throw .invalid([
                FieldError(
                    field: "query.page_size", reason: "must be from 1 to \(limits.pageSizeMax)")
            ])
        }
        return size
    }
}
