public import Sessions
internal import Synchronization
public import Telemetry

internal import struct Foundation.Date

/// All ensembles: creates them, finds them, loads them on use, and evicts those that are not used.
///
/// An ensemble is loaded by its rows and one read of where its members' sessions stand; the
/// sessions themselves are loaded when they are offered.
public final class EnsembleService: Sendable {
    public let sessions: SessionService
    private let resident = Mutex(Resident())

    private struct Resident {
        var ensembles: [EnsembleID: Ensemble] = [:]
        var loading: [EnsembleID: Task<Result<Ensemble, SessionError>, Never>] = [:]
        var isShuttingDown = false
    }

    public init(_ sessions: SessionService, metrics: MetricsRegistry = MetricsRegistry()) {
        self.sessions = sessions
        metrics.gauge(
            "lbfgsd_ensembles_resident", help: "Ensembles in memory.",
            reading: { [weak self] in self.map { Double($0.residentCount) } })
    }

    private var residentCount: Int { resident.withLock { $0.ensembles.count } }

    var limits: Limits { sessions.limits }

    // MARK: Finding

    /// Throws `notFound` unless the ensemble is the tenant's. Doesn't load it.
    public func check(
        _ id: EnsembleID, belongsTo tenant: String
    ) async throws(SessionError) {
        let owner: String
        if let ensemble = resident.withLock({ $0.ensembles[id] }) {
            owner = ensemble.tenant
        } else {
            owner = try await record(id).tenant
        }
        guard owner == tenant else { throw .notFound(.ensemble, id: id.rawValue) }
    }

    func record(_ id: EnsembleID) async throws(SessionError) -> EnsembleRecord {
        do throws(StoreError) {
            return try await sessions.store.ensemble(id)
        } catch {
            throw SessionError(error, ensemble: id)
        }
    }

    /// Runs `body` on the ensemble, which is loaded if it is not in memory.
    func withEnsemble<Value: Sendable>(
        _ id: EnsembleID, _ body: (Ensemble) async throws -> Value
    ) async throws(SessionError) -> Value {
        for _ in 0..<8 {
            let ensemble = try await loaded(id)
            do {
                return try await body(ensemble)
            } catch Ensemble.CallError.retired {
                forget(ensemble)
            } catch Ensemble.CallError.failed(let error) {
                if await ensemble.isRetired { forget(ensemble) }
                throw error
            } catch let error as SessionError {
                throw error
            } catch {
                throw .storageFailed("\(error)")
            }
        }
        throw .storageFailed("ensemble \(id) can't be kept in memory")
    }

    func forget(_ ensemble: Ensemble) {
        resident.withLock { resident in
            if resident.ensembles[ensemble.id] === ensemble {
                resident.ensembles[ensemble.id] = nil
            }
        }
    }

    /// Evicts the ensemble if it is in memory, in use or not.
    func retire(_ id: EnsembleID) async {
        guard let ensemble = resident.withLock({ $0.ensembles[id] }) else { return }
        await ensemble.retire()
        forget(ensemble)
    }

    private func loaded(_ id: EnsembleID) async throws(SessionError) -> Ensemble {
        enum Found {
            case ensemble(Ensemble)
            case loading(Task<Result<Ensemble, SessionError>, Never>)
            case shuttingDown
        }
        let found: Found = resident.withLock { resident in
            if resident.isShuttingDown { return .shuttingDown }
            if let ensemble = resident.ensembles[id] { return .ensemble(ensemble) }
            if let loading = resident.loading[id] { return .loading(loading) }
            let loading = Task { await self.load(id) }
            resident.loading[id] = loading
            return .loading(loading)
        }
        switch found {
        case .shuttingDown: throw .shuttingDown
        case .ensemble(let ensemble): return ensemble
        case .loading(let task): return try await task.value.get()
        }
    }

    private func load(_ id: EnsembleID) async -> Result<Ensemble, SessionError> {
        let result: Result<Ensemble, SessionError>
        do throws(SessionError) {
            result = .success(try await loadFromStore(id))
        } catch {
            result = .failure(error)
        }
        resident.withLock { resident in
            resident.loading[id] = nil
            if case .success(let ensemble) = result { resident.ensembles[id] = ensemble }
        }
        return result
    }

    private func loadFromStore(_ id: EnsembleID) async throws(SessionError) -> Ensemble {
        let record = try await record(id)
        try await makeRoom()
        let guest = try await sessions.reserveMemory(
            bytes: record.specification.memoryBytes, tenant: record.tenant)
        do throws(SessionError) {
            // Watched before they are read, so that no change falls between.
            let ids = try await members(of: id).map(\.session)
            let ensemble = Ensemble(
                EnsembleState(record, members: try await members(of: id)), sessions: sessions,
                guest: guest)
            sessions.watchers.watch(ids) { [weak ensemble] session, notice in
                guard let ensemble, ensemble.inbox.add(session, notice) else { return }
                Task { await ensemble.noticed() }
            }
            try await catchUp(ensemble, record)
            return ensemble
        } catch {
            sessions.releaseMemory(guest)
            throw error
        }
    }

    /// What happened between the reading of the members and their being watched; what rules need of
    /// the past; and what a crash may have left undone.
    private func catchUp(
        _ ensemble: Ensemble, _ record: EnsembleRecord
    ) async throws(SessionError) {
        await ensemble.reload(try await members(of: record.id))
        await ensemble.endAbandonedSteps()
        guard record.outcome == nil, record.specification.stagnation != nil else { return }
        for member in await ensemble.state.members where member.state == .running {
            var next = 1
            while true {
                let points = try await trace(member.session, from: next, limit: 1000)
                await ensemble.restore(points, of: member.session)
                guard points.count == 1000, let last = points.last else { break }
                next = last.evaluation + 1
            }
        }
    }

    func members(of id: EnsembleID) async throws(SessionError) -> [StoredMember] {
        do throws(StoreError) {
            return try await sessions.store.members(of: id)
        } catch {
            throw SessionError(error, ensemble: id)
        }
    }

    func trace(
        _ session: SessionID, from first: EvaluationNumber, limit: Int
    ) async throws(SessionError) -> [TracePoint] {
        do throws(SessionError) {
            return try await sessions.trace(session, from: first, limit: limit)
        } catch {
            if case .notFound = error { return [] }
            throw error
        }
    }

    // MARK: Eviction

    /// Evicts the least recently used where there are too many. Throws `overloaded` if all have a
    /// use.
    private func makeRoom() async throws(SessionError) {
        let candidates = resident.withLock { resident in
            resident.ensembles.count >= limits.residentEnsemblesMax
                ? Array(resident.ensembles.values) : []
        }
        guard !candidates.isEmpty else { return }
        var dated: [(Date, Ensemble)] = []
        for ensemble in candidates { dated.append((await ensemble.lastUsedAt, ensemble)) }
        for (_, ensemble) in dated.sorted(by: { $0.0 < $1.0 }) {
            if await ensemble.evict(idleSince: .distantFuture) {
                forget(ensemble)
                return
            }
        }
        throw .overloaded(
            limit: .residentEnsembles, maximum: limits.residentEnsemblesMax, retryAfterSeconds: 1)
    }

    /// Evicts ensembles that nobody has used for `idleSeconds`, and that have no leases. To be
    /// called from time to time.
    public func releaseIdleEnsembles() async {
        let deadline = sessions.now().addingTimeInterval(-limits.idleSeconds)
        for ensemble in resident.withLock({ Array($0.ensembles.values) }) {
            if await ensemble.evict(idleSince: deadline) { forget(ensemble) }
        }
    }

    /// Refuses new work, and ends all waits. To be called before the sessions are shut down.
    public func shutdown() async {
        let ensembles = resident.withLock { resident in
            resident.isShuttingDown = true
            return Array(resident.ensembles.values)
        }
        for ensemble in ensembles {
            _ = await ensemble.evict(idleSince: .distantFuture, isForced: true)
            forget(ensemble)
        }
    }

    /// Deletes ensembles that have expired: those of which no member has changed for their
    /// `expires_after`, and none has a checkpoint that is kept. To be called from time to time.
    public func expire() async {
        var token: PageToken?
        repeat {
            guard
                let page = try? await sessions.store.ensembles(
                    pageSize: 100, after: token, tenant: nil)
            else { return }
            for record in page.items { await expire(record) }
            token = page.next
        } while token != nil && !Task.isCancelled
    }

    private func expire(_ record: EnsembleRecord) async {
        guard let seconds = record.specification.expiresAfter.map(Double.init) else { return }
        let deadline = sessions.now().addingTimeInterval(-seconds)
        if let ensemble = resident.withLock({ $0.ensembles[record.id] }),
            await ensemble.lastUsedAt >= deadline
        {
            return
        }
        guard record.createdAt < deadline,
            let members = try? await members(of: record.id),
            members.allSatisfy({ ($0.summary?.updatedAt ?? .distantPast) < deadline })
        else { return }
        for member in members {
            guard (try? await sessions.store.hasKeptCheckpoint(member.session)) == false else {
                return
            }
        }
        try? await delete(record.id)
    }
}

extension EnsembleSpecification {
    /// What an ensemble takes in memory beside its members' sessions: a kilobyte a member, its box,
    /// and the members' points where a rule compares them.
    fileprivate var memoryBytes: Int {
        let points = basin == nil ? 0 : count * parameterCount * dtype.size
        return count * 1024 + points + 16 * parameterCount
    }
}
