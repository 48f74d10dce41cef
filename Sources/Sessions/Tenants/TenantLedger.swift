internal import Synchronization

/// What each tenant uses, and may use.
///
/// Usage is reserved before it happens, so that requests at the same time can't exceed a quota
/// together. What is on disk is read from the store when a tenant with such a quota first needs it,
/// and then kept up to date: by identifiers of sessions, so that a deletion counts once, and never
/// for a session that is gone.
public final class TenantLedger: Sendable {
    private struct Account {
        var requestsInFlight = 0
        /// nil until the store was read.
        var disk: DiskUsage?
        var loading: Task<Result<DiskUsage, SessionError>, Never>?
        /// Sessions that were created or deleted (nil) while the store was read.
        var changedMeanwhile: [SessionID: Int?] = [:]
        /// Sessions that are being created.
        var sessionsReserved = 0
        /// Bytes that requests in flight may come to write.
        var diskBytesReserved = 0
    }

    /// The sessions of a tenant on disk.
    struct DiskUsage: Sendable {
        /// Bytes by session, at most: as the store counted them last, and all that may have been
        /// written since.
        private(set) var bytes: [SessionID: Int] = [:]
        private(set) var bytesTotal = 0
        /// Sessions with writes since they were counted.
        private(set) var uncounted: [SessionID: Int] = [:]

        var sessions: Int { bytes.count }

        mutating func set(_ id: SessionID, to counted: Int) {
            bytesTotal += counted - (bytes[id] ?? 0)
            bytes[id] = counted
            uncounted[id] = nil
        }

        /// Returns what may have been written since the session was counted.
        mutating func add(_ more: Int, to id: SessionID) -> Int {
            guard let counted = bytes[id] else { return 0 }
            bytesTotal += more
            bytes[id] = counted + more
            uncounted[id, default: 0] += more
            return uncounted[id] ?? 0
        }

        mutating func remove(_ id: SessionID) {
            bytesTotal -= bytes.removeValue(forKey: id) ?? 0
            uncounted[id] = nil
        }
    }

    private struct State {
        var quotas: [String: TenantQuota] = [:]
        var accounts: [String: Account] = [:]
    }

    private let defaults: TenantQuota
    private let state: Mutex<State>

    /// - Parameters:
    ///   - defaults: The quotas of tenants without their own.
    ///   - quotas: The quotas of tenants by name.
    public init(defaults: TenantQuota = TenantQuota(), quotas: [String: TenantQuota] = [:]) {
        self.defaults = defaults
        state = Mutex(State(quotas: quotas))
    }

    public func replaceQuotas(_ quotas: [String: TenantQuota]) {
        state.withLock { $0.quotas = quotas }
    }

    public func quota(of tenant: String) -> TenantQuota {
        state.withLock { $0.quotas[tenant]?.filled(from: defaults) ?? defaults }
    }

    // MARK: Requests in flight

    /// Counts a request, until `requestEnded`. Returns the quota if it is reached.
    public func requestBegan(of tenant: String) -> Int? {
        state.withLock { state in
            let quota = state.quotas[tenant]?.requestsInFlightMax ?? defaults.requestsInFlightMax
            let count = state.accounts[tenant]?.requestsInFlight ?? 0
            if let quota, count >= quota { return quota }
            state.accounts[tenant, default: Account()].requestsInFlight = count + 1
            return nil
        }
    }

    public func requestEnded(of tenant: String) {
        state.withLock { $0.accounts[tenant]?.requestsInFlight -= 1 }
    }

    func requestsInFlight(of tenant: String) -> Int {
        state.withLock { $0.accounts[tenant]?.requestsInFlight ?? 0 }
    }

    // MARK: Sessions and bytes on disk

    /// nil until the store was read.
    func diskUsage(of tenant: String) -> (sessions: Int, bytes: Int)? {
        state.withLock { state in
            state.accounts[tenant]?.disk.map { ($0.sessions, $0.bytesTotal) }
        }
    }

    /// The task that reads the tenant's sessions from the store, made by `make` if there is none;
    /// nil if they were read.
    func loading(
        _ tenant: String, _ make: () -> Task<Result<DiskUsage, SessionError>, Never>
    ) -> Task<Result<DiskUsage, SessionError>, Never>? {
        state.withLock { state in
            let account = state.accounts[tenant] ?? Account()
            if account.disk != nil { return nil }
            if let loading = account.loading { return loading }
            let loading = make()
            state.accounts[tenant, default: Account()].loading = loading
            return loading
        }
    }

    func loaded(_ tenant: String, _ result: Result<DiskUsage, SessionError>) {
        state.withLock { state in
            state.accounts[tenant]?.loading = nil
            guard case .success(var usage) = result else { return }
            for (id, bytes) in state.accounts[tenant]?.changedMeanwhile ?? [:] {
                if let bytes { usage.set(id, to: bytes) } else { usage.remove(id) }
            }
            state.accounts[tenant]?.disk = usage
            state.accounts[tenant]?.changedMeanwhile = [:]
        }
    }

    /// Reserves a session and bytes on disk. Throws `quotaReached`, and then reserves nothing.
    func reserve(sessions: Int, diskBytes: Int, for tenant: String) throws(SessionError) {
        let refusal = state.withLock { state -> SessionError? in
            let quota = state.quotas[tenant]?.filled(from: defaults) ?? defaults
            let account = state.accounts[tenant] ?? Account()
            if let disk = account.disk {
                let count = disk.sessions + account.sessionsReserved
                if let maximum = quota.sessionsMax, sessions > 0, count + sessions > maximum {
                    return .quotaReached(.sessions, needed: sessions, used: count, maximum: maximum)
                }
                let bytes = disk.bytesTotal + account.diskBytesReserved
                if let maximum = quota.diskBytesMax, diskBytes > maximum - bytes {
                    return .quotaReached(
                        .diskBytes, needed: diskBytes, used: bytes, maximum: maximum)
                }
            }
            state.accounts[tenant, default: Account()].sessionsReserved += sessions
            state.accounts[tenant, default: Account()].diskBytesReserved += diskBytes
            return nil
        }
        if let refusal { throw refusal }
    }

    /// Gives back what `reserve` reserved.
    func release(sessions: Int, diskBytes: Int, of tenant: String) {
        state.withLock { state in
            state.accounts[tenant]?.sessionsReserved -= sessions
            state.accounts[tenant]?.diskBytesReserved -= diskBytes
        }
    }

    /// A reserved session is on disk, with so many bytes, in place of those that were reserved.
    func created(_ id: SessionID, _ bytes: Int, of tenant: String, reserved diskBytes: Int) {
        state.withLock { state in
            state.accounts[tenant]?.sessionsReserved -= 1
            state.accounts[tenant]?.diskBytesReserved -= diskBytes
            if state.accounts[tenant]?.loading != nil {
                state.accounts[tenant]?.changedMeanwhile[id] = .some(bytes)
            }
            state.accounts[tenant]?.disk?.set(id, to: bytes)
        }
    }

    /// A session's bytes, as the store has counted them.
    func counted(_ id: SessionID, _ bytes: Int, of tenant: String) {
        state.withLock { state in
            guard state.accounts[tenant]?.disk?.bytes[id] != nil else { return }
            state.accounts[tenant]?.disk?.set(id, to: bytes)
        }
    }

    /// Adds what may have been written. Returns what may have been since the session was counted.
    func wrote(_ bytes: Int, to id: SessionID, of tenant: String) -> Int {
        state.withLock { $0.accounts[tenant]?.disk?.add(bytes, to: id) ?? 0 }
    }

    /// Sessions to which something may have been written since they were counted.
    func uncounted(of tenant: String) -> [SessionID] {
        state.withLock { Array(($0.accounts[tenant]?.disk?.uncounted ?? [:]).keys) }
    }

    /// A session is gone from the store.
    func deleted(_ id: SessionID, of tenant: String) {
        state.withLock { state in
            if state.accounts[tenant]?.loading != nil {
                state.accounts[tenant]?.changedMeanwhile[id] = .some(nil)
            }
            state.accounts[tenant]?.disk?.remove(id)
        }
    }
}
