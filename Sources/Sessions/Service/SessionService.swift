internal import Synchronization
public import Telemetry

public import struct Foundation.Date

/// All sessions: finds them, loads them on use, and evicts those that are not used.
///
/// Only sessions in use are in memory, so that start-up does not depend on how many there are.
public final class SessionService: Sendable {
    public let limits: Limits
    let store: any Store
    let now: @Sendable () -> Date
    let hooking: HookEnvironment
    /// The threads for long steps and bodies.
    public let background: BackgroundWork
    let resident = Mutex(ResidentSessions())
    private let waiters: Atomic<Int> = Atomic(0)
    let metrics: Metrics

    struct Metrics: Sendable {
        var tells: Counter
        var replays: Counter
        var loads: Counter
        var resident: Gauge
        var residentBytes: Gauge
        var waiters: Gauge
    }

    /// - Parameter now: The time that goes into records; injected, so that tests are repeatable.
    public init(
        store: any Store, limits: Limits = Limits(), metrics: MetricsRegistry = MetricsRegistry(),
        hooking: HookEnvironment = HookEnvironment(), background: BackgroundWork = .shared,
        now: @escaping @Sendable () -> Date = { Date() }
    ) {
        self.store = store
        self.limits = limits
        self.hooking = hooking
        self.background = background
        self.now = now
        self.metrics = Metrics(
            tells: metrics.counter(
                "lbfgsd_evaluations_total", help: "Evaluations accepted and on disk."),
            replays: metrics.counter(
                "lbfgsd_evaluations_repeated_total",
                help: "Evaluations told again with the same result."),
            loads: metrics.counter(
                "lbfgsd_session_loads_total", help: "Sessions read from the store."),
            resident: metrics.gauge(
                "lbfgsd_sessions_resident", help: "Sessions in memory."),
            residentBytes: metrics.gauge(
                "lbfgsd_sessions_resident_bytes",
                help: "Memory that the sessions in memory may come to need, as estimated."),
            waiters: metrics.gauge(
                "lbfgsd_waiters", help: "Long-polls and event streams that wait."))
        metrics.onRender { [weak self] in self?.refreshGauges() }
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
    func enterWait() throws(SessionError) {
        let count = waiters.add(1, ordering: .relaxed).newValue
        guard count <= limits.waitersMax else {
            leaveWait()
            throw .overloaded(
                limit: .waiters, maximum: limits.waitersMax, retryAfterSeconds: 1)
        }
    }

    func leaveWait() { waiters.subtract(1, ordering: .relaxed) }
}
