internal import Synchronization
public import Telemetry

public import struct Foundation.Date

/// All sessions: finds them, loads them on use, and evicts those that are not used.
///
/// Only sessions in use are in memory, so that start-up does not depend on how many there are.
public final class SessionService: Sendable {
    public let limits: Limits
    package let store: any Store
    package let now: @Sendable () -> Date
    let hooking: HookEnvironment
    /// The threads for long steps and bodies.
    public let background: BackgroundWork
    /// What each tenant uses, and may use.
    public let tenants: TenantLedger
    package let watchers = SessionWatchers()
    let resident = Mutex(ResidentSessions())
    let pageTokens = PageTokenKey()
    let catalog: SessionCatalog
    let feed = SessionFeed()
    private let waiters: Atomic<Int> = Atomic(0)
    let metrics: SessionMetrics
    /// When the evaluation began to wait that has waited longest, by the last census.
    let oldestUnanswered = Mutex<Date?>(nil)

    /// - Parameter now: The time that goes into records; injected, so that tests are repeatable.
    public init(
        store: any Store, limits: Limits = Limits(), metrics: MetricsRegistry = MetricsRegistry(),
        hooking: HookEnvironment = HookEnvironment(), background: BackgroundWork = .shared,
        tenants: TenantLedger = TenantLedger(),
        now: @escaping @Sendable () -> Date = { Date() }
    ) {
        self.store = store
        self.limits = limits
        self.hooking = hooking
        self.background = background
        self.tenants = tenants
        catalog = SessionCatalog(bytesMax: limits.listingBytesMax)
        self.now = now
        self.metrics = SessionMetrics(metrics)
        metrics.gauge(
            "lbfgsd_oldest_unanswered_evaluation_seconds",
            help: "How long the evaluation has waited that waits longest for its result.",
            reading: { [weak self] in self?.oldestUnansweredSeconds })
        metrics.onRender { [weak self] in self?.refreshGauges() }
    }

    private var oldestUnansweredSeconds: Double {
        guard let since = oldestUnanswered.withLock({ $0 }) else { return 0 }
        return max(0, now().timeIntervalSince(since))
    }

    private func refreshGauges() {
        let (count, bytes) = resident.withLock { ($0.slots.count, $0.bytes) }
        metrics.resident.set(Double(count))
        metrics.residentBytes.set(Double(bytes))
        metrics.waiters.set(Double(waiters.load(ordering: .relaxed)))
    }
}

// MARK: - Waiters

extension SessionService {
    package func enterWait() throws(SessionError) {
        let count = waiters.add(1, ordering: .relaxed).newValue
        guard count <= limits.waitersMax else {
            leaveWait()
            throw .overloaded(
                limit: .waiters, maximum: limits.waitersMax, retryAfterSeconds: 1)
        }
    }

    package func leaveWait() { waiters.subtract(1, ordering: .relaxed) }
}
