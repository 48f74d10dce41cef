internal import Synchronization

package import struct Foundation.Date

// Sessions that are created together with something that names them: all of them or none.

extension SessionService {
    /// The state of a new session. Throws what is wrong with the request.
    func initialState(_ request: CreateRequest) throws(SessionError) -> SessionState {
        let valid = try request.validated(limits)
        return try SessionState(
            dtype: request.dtype, layout: Layout(parameters: valid.parameters.specs),
            values: valid.parameters.values, bounds: valid.parameters.bounds,
            options: valid.options, isMaximizing: request.options.maximize ?? false,
            shardCount: request.shardCount, background: background)
    }

    /// What a store needs to create a session. It does not expire by itself.
    package func prepared(
        _ request: CreateRequest, tenant: String, at time: Date
    ) throws(SessionError) -> NewSession {
        let (first, change) = try initialState(request).forked(at: time)
        var generator = SystemRandomNumberGenerator()
        let record = SessionRecord(
            id: .random(using: &generator), name: request.name, labels: request.labels,
            dtype: first.dtype, parameters: first.layout.parameters, origin: nil, createdAt: time,
            metadataVersion: 1, memoryBytes: first.memoryBytesEstimate, tenant: tenant)
        return NewSession(
            record: record, entry: change.entry, snapshot: StateCodec.draft(of: first))
    }

    /// Throws what refuses so many sessions that write so many bytes, or counts them as the
    /// tenant's when `creating` has created them. None of them is loaded.
    package func insert(
        _ sessions: [NewSession], of ensemble: EnsembleID, tenant: String,
        _ creating: () async throws(StoreError) -> Void
    ) async throws(InsertionError) {
        let bytes = sessions.map { $0.snapshot.newBytes * 4 + (16 << 10) }
        let total = bytes.reduce(0, +)
        do throws(SessionError) {
            if resident.withLock({ $0.isShuttingDown }) { throw .shuttingDown }
            try limits.checkDiskReserve(
                of: store, writing: sessions.reduce(0) { $0 + $1.snapshot.newBytes })
            let count = try await read { store throws(StoreError) in
                try await store.sessionCount()
            }
            guard count <= limits.sessionsMax - sessions.count else {
                throw .overloaded(
                    limit: .sessions, maximum: limits.sessionsMax, retryAfterSeconds: 60)
            }
            try await reserveSessions(sessions.count, diskBytes: total, for: tenant)
        } catch {
            throw .refused(error)
        }
        do {
            try await creating()
        } catch {
            tenants.release(sessions: sessions.count, diskBytes: total, of: tenant)
            throw .failed(error)
        }
        let isCounted = tenants.diskUsage(of: tenant) != nil
        for (session, reserved) in zip(sessions, bytes) {
            let written = !isCounted ? 0 : try? await store.diskBytes(session.record.id)
            tenants.created(
                session.record.id, written ?? reserved, of: tenant, reserved: reserved)
            catalog.note(
                SessionSummary(
                    record: session.record, createdWith: session.entry, ensemble: ensemble),
                of: tenant)
            feed.publish([.created(session.record.id)], of: session.record)
        }
    }

    /// Why sessions were not created together.
    package enum InsertionError: Error {
        case refused(SessionError)
        case failed(StoreError)
    }

    /// Reads from the store what is no single session's.
    package func read<Value: Sendable>(
        _ body: (any Store) async throws(StoreError) -> Value
    ) async throws(SessionError) -> Value {
        do {
            return try await body(store)
        } catch {
            throw SessionError(error)
        }
    }

    /// Reserves memory for something beside the sessions. Returns the name under which it is
    /// released.
    package func reserveMemory(
        bytes: Int, tenant: String
    ) async throws(SessionError) -> SessionID {
        var generator = SystemRandomNumberGenerator()
        let guest = SessionID.random(using: &generator)
        let begins = now()
        resident.withLock { $0.begin(guest, loading: nil, at: begins) }
        do throws(SessionError) {
            try await reserveMemory(bytes, for: guest, tenant: tenant)
        } catch {
            resident.withLock { $0.remove(guest) }
            throw error
        }
        return guest
    }

    package func releaseMemory(_ guest: SessionID) {
        resident.withLock { $0.remove(guest) }
    }

    /// The newest accepted point, and whether the session is at it.
    package func acceptedPoint(_ id: SessionID) async throws(SessionError) -> Vector {
        try await withSession(id) { try await $0.parameters() }.values
    }

    /// Ends the running step; one that has ended stays as it is. Tries again where a limit is
    /// reached that passes.
    package func endStep(_ id: SessionID) async throws(SessionError) {
        for _ in 0..<20 {
            do throws(SessionError) {
                _ = try await withSession(id) { try await $0.stop() }
                return
            } catch {
                switch error {
                case .noStepRunning: return
                case .overloaded, .memoryFull:
                    try? await Task.sleep(for: .milliseconds(50))
                default: throw error
                }
            }
        }
    }
}
