internal import Synchronization

// What belongs to which tenant, and how much of it there may be.

extension SessionService {
    /// Throws `notFound` unless the session is the tenant's. Neither loads the session nor counts
    /// as its use.
    public func check(
        _ id: SessionID, belongsTo tenant: String
    ) async throws(SessionError) {
        let owner: String
        if let session = resident.withLock({ $0.slots[id]?.session }) {
            owner = session.tenant
        } else {
            owner = try await read(id) { store throws(StoreError) in
                try await store.tenant(of: id)
            }
        }
        guard owner == tenant else { throw .notFound(.session, id: id.rawValue) }
    }

    /// What the tenant uses.
    public func usage(of tenant: String) async throws(SessionError) -> TenantUsage {
        let quota = tenants.quota(of: tenant)
        var sessions: Int?
        var diskBytes: Int?
        if quota.diskBytesMax != nil {
            try await loadDiskUsage(of: tenant)
            try await recount(tenants.uncounted(of: tenant), of: tenant)
            if let usage = tenants.diskUsage(of: tenant) {
                (sessions, diskBytes) = (usage.sessions, usage.bytes)
            }
        }
        if sessions == nil {
            do {
                sessions = try await store.sessionCount(of: tenant)
            } catch {
                throw .storageFailed("\(error)")
            }
        }
        return TenantUsage(
            tenant: tenant, quota: quota, sessions: sessions ?? 0, diskBytes: diskBytes,
            memoryBytes: resident.withLock { $0.bytes(of: tenant) },
            requestsInFlight: tenants.requestsInFlight(of: tenant))
    }

    // MARK: Bytes on disk

    /// Runs `body`, which writes to the session, within the tenant's quota of bytes on disk. What
    /// it may write is reserved meanwhile; throws `quotaReached` before if there is not so much.
    /// - Parameter isWholeState: Whether it may write a whole history, not just some vectors.
    public func withinDiskQuota<Value: Sendable>(
        of tenant: String, _ id: SessionID, isWholeState: Bool = false,
        _ body: () async throws -> Value
    ) async throws -> Value {
        guard tenants.quota(of: tenant).diskBytesMax != nil else { return try await body() }
        try await loadDiskUsage(of: tenant)
        let record = try await withSession(id) { await $0.record }
        let bytes = Self.bytesWritten(record, isWholeState: isWholeState)
        do throws(SessionError) {
            try tenants.reserve(sessions: 0, diskBytes: bytes, for: tenant)
        } catch {
            // What is counted is an upper bound: counted anew, there may be enough left.
            try await recount(tenants.uncounted(of: tenant) + [id], of: tenant)
            try tenants.reserve(sessions: 0, diskBytes: bytes, for: tenant)
        }
        defer { tenants.release(sessions: 0, diskBytes: bytes, of: tenant) }
        let value: Value
        do {
            value = try await body()
        } catch {
            _ = tenants.wrote(bytes, to: id, of: tenant)
            throw error
        }
        if tenants.wrote(bytes, to: id, of: tenant) > Self.uncountedBytesMax || isWholeState {
            try await recount([id], of: tenant)
        }
        return value
    }

    /// Counts a session's bytes anew after something of it was deleted.
    public func recountAfterDeletion(_ id: SessionID, of tenant: String) async {
        guard tenants.diskUsage(of: tenant) != nil else { return }
        try? await recount([id], of: tenant)
    }

    /// A session is counted again when so much may have been written.
    private static let uncountedBytesMax = 1 << 20

    /// At most what one change writes: the vectors of a snapshot, those of a pair, the gradient,
    /// and rows.
    private static func bytesWritten(_ record: SessionRecord, isWholeState: Bool) -> Int {
        let vectors = 12 * record.parameterCount * record.dtype.size + (8 << 10)
        return isWholeState ? vectors + record.memoryBytes : vectors
    }

    private func recount(_ ids: [SessionID], of tenant: String) async throws(SessionError) {
        for id in ids {
            do {
                tenants.counted(id, try await store.diskBytes(id), of: tenant)
            } catch StoreError.missing {
                tenants.deleted(id, of: tenant)
            } catch StoreError.corrupt {
                // What was counted stays: others must not be refused for it.
                continue
            } catch {
                throw .storageFailed("\(error)")
            }
        }
    }

    // MARK: New sessions

    /// Reserves a session that writes up to `diskBytes` when it is created.
    func reserveSession(diskBytes: Int, for tenant: String) async throws(SessionError) {
        try await reserveSessions(1, diskBytes: diskBytes, for: tenant)
    }

    /// Reserves sessions that write up to `diskBytes` together.
    func reserveSessions(
        _ count: Int, diskBytes: Int, for tenant: String
    ) async throws(SessionError) {
        let quota = tenants.quota(of: tenant)
        if quota.sessionsMax != nil || quota.diskBytesMax != nil {
            try await loadDiskUsage(of: tenant)
        }
        do throws(SessionError) {
            try tenants.reserve(sessions: count, diskBytes: diskBytes, for: tenant)
        } catch {
            try await recount(tenants.uncounted(of: tenant), of: tenant)
            try tenants.reserve(sessions: count, diskBytes: diskBytes, for: tenant)
        }
    }

    /// Reads the tenant's sessions from the store, unless they were read.
    private func loadDiskUsage(of tenant: String) async throws(SessionError) {
        let loading = tenants.loading(tenant) { Task { await self.readDiskUsage(of: tenant) } }
        guard let loading else { return }
        if case .failure(let error) = await loading.value { throw error }
    }

    private func readDiskUsage(
        of tenant: String
    ) async -> Result<TenantLedger.DiskUsage, SessionError> {
        var usage = TenantLedger.DiskUsage()
        var result: Result<TenantLedger.DiskUsage, SessionError>
        do throws(StoreError) {
            for id in try await store.sessions(of: tenant) {
                do throws(StoreError) {
                    usage.set(id, to: try await store.diskBytes(id))
                } catch {
                    // Deleted meanwhile, or damaged: a damaged session still counts as one.
                    if error != .missing { usage.set(id, to: 0) }
                }
            }
            result = .success(usage)
        } catch {
            result = .failure(.storageFailed("\(error)"))
        }
        tenants.loaded(tenant, result)
        return result
    }
}
