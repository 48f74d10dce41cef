internal import Synchronization

internal import struct Foundation.Date

/// What lists show of the sessions of those tenants that have asked for a list in another order
/// than the store's.
///
/// A tenant's catalog is read from the store at its first such list, a page at a time, and from
/// then on each commit enters its change: a list is answered from memory, and a start of the daemon
/// reads nothing. The catalogs that were used least recently are dropped where all of them take
/// more than a limit.
final class SessionCatalog: Sendable {
    fileprivate struct State {
        var tenants: [String: TenantCatalog] = [:]
        var loading: [String: Task<Result<Void, SessionError>, Never>] = [:]
        /// Orders uses.
        var clock = 0

        var bytes: Int { tenants.values.reduce(0) { $0 + $1.bytes } }
    }

    /// Sessions that are looked at while commits wait, which takes some 100 us.
    private static let slotsAtOnce = 1024

    private let bytesMax: Int
    private let hasCatalogs = Atomic<Bool>(false)
    private let state = Mutex(State())

    init(bytesMax: Int) { self.bytesMax = bytesMax }

    // MARK: Changes

    /// A session was created, or its record has changed.
    func note(_ summary: @autoclosure () -> SessionSummary, of tenant: String) {
        guard hasCatalogs.load(ordering: .sequentiallyConsistent) else { return }
        let session = ListedSession(summary())
        state.withLock { state in
            guard state.tenants[tenant] != nil else { return }
            state.tenants[tenant]?.put(session)
            state.shed(bytesMax, keeping: tenant)
        }
    }

    /// A session has changed, but not its record.
    func note(
        _ id: SessionID, of tenant: String, _ change: (ListedSession) -> ListedSession,
        orElse summary: () -> SessionSummary
    ) {
        guard hasCatalogs.load(ordering: .sequentiallyConsistent) else { return }
        state.withLock { state in
            guard state.tenants[tenant] != nil else { return }
            if state.tenants[tenant]?.update(id, change) == false {
                state.tenants[tenant]?.put(ListedSession(summary()))
            }
        }
    }

    func noteDeletion(of id: SessionID, of tenant: String) {
        guard hasCatalogs.load(ordering: .sequentiallyConsistent) else { return }
        state.withLock { $0.tenants[tenant]?.remove(id) }
    }

    // MARK: Lists

    /// The first `count` sessions of a list and what the tenant has that is damaged; nil if the
    /// tenant's sessions are not entered.
    func first(
        _ count: Int, of query: SessionQuery, after: ListCursor?, tenant: String
    ) -> (list: FirstOfList, damaged: DamagedSessions)? {
        var list = FirstOfList(query, after: after, count: count)
        var start = 0
        while true {
            let part: (slots: ArraySlice<ListedSession?>, damaged: DamagedSessions, isLast: Bool)?
            part = state.withLock { state in
                guard let catalog = state.tenants[tenant], catalog.isComplete else { return nil }
                state.clock += 1
                state.tenants[tenant]?.lastUse = state.clock
                let end = min(start + Self.slotsAtOnce, catalog.slots.count)
                // A copy, so that a change meanwhile does not copy all of them.
                let slots = Array(catalog.slots[min(start, end)..<end])
                return (slots[...], catalog.damaged, end == catalog.slots.count)
            }
            guard let part else { return nil }
            for case .some(let session) in part.slots { list.consider(session) }
            if part.isLast { return (list, part.damaged) }
            start += Self.slotsAtOnce
        }
    }

    // MARK: Reading from the store

    /// Returns when the tenant's sessions are entered. `read` reads them, once for all who wait.
    func load(
        _ tenant: String, _ read: @escaping @Sendable () async -> Result<Void, SessionError>
    ) async throws(SessionError) {
        let loading: Task<Result<Void, SessionError>, Never>? = state.withLock { state in
            if state.tenants[tenant]?.isComplete == true { return nil }
            if let loading = state.loading[tenant] { return loading }
            state.tenants[tenant] = TenantCatalog()
            hasCatalogs.store(true, ordering: .sequentiallyConsistent)
            let loading = Task {
                let result = await read()
                self.loaded(tenant, result)
                return result
            }
            state.loading[tenant] = loading
            return loading
        }
        try await loading?.value.get()
    }

    /// Throws `.overloaded` if the tenant's sessions alone take more than the limit.
    func enter(
        _ sessions: [ListedSession], _ damaged: DamagedSessions, of tenant: String
    ) throws(SessionError) {
        let isThere = state.withLock { state in
            for session in sessions { state.tenants[tenant]?.enter(session) }
            state.tenants[tenant]?.enter(damaged)
            state.shed(bytesMax, keeping: tenant)
            return state.tenants[tenant] != nil
        }
        guard isThere else {
            throw .overloaded(limit: .listingBytes, maximum: bytesMax, retryAfterSeconds: 60)
        }
    }

    private func loaded(_ tenant: String, _ result: Result<Void, SessionError>) {
        state.withLock { state in
            state.loading[tenant] = nil
            switch result {
            case .success: state.tenants[tenant]?.complete()
            case .failure: state.tenants[tenant] = nil
            }
        }
    }
}

extension SessionCatalog.State {
    /// Drops catalogs until the others take no more than `bytesMax`: those used least recently, and
    /// `tenant`'s last.
    fileprivate mutating func shed(_ bytesMax: Int, keeping tenant: String) {
        var total = bytes
        while total > bytesMax {
            let others = tenants.filter { $0.key != tenant && loading[$0.key] == nil }
            let oldest = others.min { $0.value.lastUse < $1.value.lastUse }?.key ?? tenant
            guard let dropped = tenants.removeValue(forKey: oldest) else { return }
            total -= dropped.bytes
            if oldest == tenant { return }
        }
    }
}
