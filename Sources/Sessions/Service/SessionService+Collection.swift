internal import Synchronization

extension SessionService {
    /// Durable when it returns. O(n).
    public func create(
        _ request: CreateRequest, idempotency key: IdempotencyKey? = nil
    ) async throws(SessionError) -> Outcome<SessionView> {
        if let earlier = try await earlierSession(key, scope: "sessions") { return earlier }
        let valid = try request.validated(limits)
        let state: SessionState
        do {
            state = try SessionState(
                dtype: request.dtype, layout: Layout(parameters: valid.parameters.specs),
                values: valid.parameters.values, options: valid.options,
                isMaximizing: request.options.maximize ?? false, shardCount: request.shardCount,
                background: background)
        } catch {
            throw .invalid([FieldError(field: "options.\(error.option)", reason: error.reason)])
        }
        return try await insert(
            state, name: request.name, labels: request.labels, origin: nil, scope: "sessions", key)
    }

    /// A new session that starts where the checkpoint stands, sharing its stored pairs.
    public func fork(
        _ id: SessionID, checkpoint number: CheckpointNumber, name: String? = nil,
        labels: [String: String]? = nil, idempotency key: IdempotencyKey? = nil
    ) async throws(SessionError) -> Outcome<SessionView> {
        let scope = "\(id)/checkpoints/\(number)/fork"
        if let earlier = try await earlierSession(key, scope: scope) { return earlier }
        try limits.checkMetadata(name: name, labels: labels ?? [:])
        let (state, record) = try await withSecondState(of: id) {
            () async throws(SessionError) in
            try await withSession(id) { try await $0.forkSource(number) }
        }
        return try await insert(
            state, name: name ?? record.name, labels: labels ?? record.labels,
            origin: Origin(session: id.rawValue, checkpoint: number), scope: scope, key)
    }

    private func insert(
        _ state: SessionState, name: String?, labels: [String: String], origin: Origin?,
        scope: String, _ key: IdempotencyKey?
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
        try await reserveMemory(state.memoryBytesEstimate, for: id)
        do {
            let count = try await store.sessionCount()
            guard count < limits.sessionsMax else {
                throw SessionError.overloaded(
                    limit: .sessions, maximum: limits.sessionsMax, retryAfterSeconds: 60)
            }
            let time = now()
            var (first, change) = state.forked(at: time)
            let record = SessionRecord(
                id: id, name: name, labels: labels, dtype: first.dtype,
                parameters: first.layout.parameters, origin: origin, createdAt: time,
                metadataVersion: 1, memoryBytes: first.memoryBytesEstimate)
            let vectors = try await store.create(
                record, entry: change.entry, snapshot: StateCodec.draft(of: first),
                idempotency: key.map {
                    IdempotencyRecord(
                        scope: scope, key: $0.key, requestDigest: $0.requestDigest,
                        outcome: id.rawValue, createdAt: time)
                })
            isCreated = true
            first.storedPairs = StateCodec.pairs(in: vectors)
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

    private func earlierSession(
        _ key: IdempotencyKey?, scope: String
    ) async throws(SessionError) -> Outcome<SessionView>? {
        guard let key else { return nil }
        let earlier: IdempotencyRecord?
        do {
            earlier = try await store.idempotencyRecord(scope: scope, key: key.key)
        } catch {
            throw .storageFailed("\(error)")
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
        try await withSession(id) { session in
            try await session.delete(precondition: precondition)
            forget(id, session)
        }
    }

    /// Newest first; doesn't load sessions.
    public func list(
        pageSize: Int? = nil, after: PageToken? = nil, label: (key: String, value: String)? = nil
    ) async throws(SessionError) -> Page<SessionSummary> {
        let size = try checkedPageSize(pageSize)
        do {
            return try await store.list(pageSize: size, after: after, label: label)
        } catch {
            throw .storageFailed("\(error)")
        }
    }

    func checkedPageSize(_ pageSize: Int?) throws(SessionError) -> Int {
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
