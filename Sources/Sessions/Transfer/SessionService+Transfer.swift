extension Session {
    /// The session as a file. O(m): it shares the vectors' memory until the session changes them.
    func export() async throws(CallError) -> (SessionFile, EntityTag) {
        try await exclusively { () async throws(SessionError) in
            try checkNoHookCalled()
            return (state.exported(name: record.name, labels: record.labels), turn.tag)
        }
    }
}

extension SessionService {
    /// The session as a file, as it is on disk. A session that waits for the answer to a hook has
    /// none: throws `awaitingHook`.
    public func export(_ id: SessionID) async throws(SessionError) -> (SessionFile, EntityTag) {
        try await withSession(id) { try await $0.export() }
    }

    /// A new session that goes on where the file's was exported: the same trial point, bit for bit,
    /// under the same numbers of step and evaluation. Durable when it returns.
    /// - Parameters:
    ///   - file: All of its tensors have been taken.
    ///   - name: nil: the file's; `.some(nil)`: none.
    ///   - labels: nil: the file's.
    public func insert(
        _ file: consuming SessionImport, name: String?? = nil, labels: [String: String]? = nil,
        tenant: String = SessionRecord.defaultTenant, idempotency key: IdempotencyKey? = nil
    ) async throws(SessionError) -> Outcome<SessionView> {
        let scope = tenant == SessionRecord.defaultTenant ? "imports" : "imports@\(tenant)"
        if let earlier = try await earlierSession(key, scope: scope) { return earlier }
        let (name, labels) = (name ?? file.name, labels ?? file.labels)
        try limits.checkMetadata(name: name, labels: labels)
        try limits.checkDiskReserve(of: store, writing: file.byteCount)
        let expiresAfter = try limits.expiresAfter(nil)
        let diskBytes = file.byteCount + (16 << 10)
        let state = try file.state(background)
        return try await insert(
            state, name: name, labels: labels, expiresAfter: expiresAfter, origin: nil,
            tenant: tenant, diskBytes: diskBytes, scope: scope, key
        ) { state, time in
            var state = state
            let change = state.created(at: time)
            return (state, change)
        }
    }
}
