internal import Telemetry

internal import struct Foundation.Date

/// What the service counts and measures.
struct SessionMetrics: Sendable {
    let tells: Counter
    let replays: Counter
    let loads: Counter
    let evictions: Counter
    let expired: Counter
    private let damaged: Gauge
    let resident: Gauge
    let residentBytes: Gauge
    let waiters: Gauge
    let pendingDeliveries: Gauge
    let engineSeconds: Histogram
    let stepSeconds: Histogram
    let byState: [SessionPhase: Gauge]

    /// What the last walk through all stored sessions has found.
    struct Census: Sendable {
        var counts: [SessionPhase: Int] = [:]
        /// Sessions that lists leave out.
        var damaged = 0
        /// When the evaluation began to wait that has waited longest.
        var oldestUnanswered: Date?
    }

    init(_ registry: MetricsRegistry) {
        tells = registry.counter(
            "lbfgsd_evaluations_total", help: "Evaluations accepted and on disk.")
        replays = registry.counter(
            "lbfgsd_evaluations_repeated_total",
            help: "Evaluations told again with the same result.")
        loads = registry.counter(
            "lbfgsd_session_loads_total", help: "Sessions read from the store.")
        evictions = registry.counter(
            "lbfgsd_session_evictions_total", help: "Sessions evicted from memory.")
        expired = registry.counter(
            "lbfgsd_sessions_expired_total", help: "Sessions deleted because nothing changed them.")
        resident = registry.gauge(
            "lbfgsd_sessions_resident", help: "Sessions in memory.")
        residentBytes = registry.gauge(
            "lbfgsd_sessions_resident_bytes",
            help: "Memory that the sessions in memory may come to need, as estimated.")
        waiters = registry.gauge(
            "lbfgsd_waiters", help: "Long-polls and event streams that wait.")
        pendingDeliveries = registry.gauge(
            "lbfgsd_webhooks_pending", help: "Messages to webhooks that are still to be delivered.")
        engineSeconds = registry.histogram(
            "lbfgsd_engine_seconds",
            help: "Time to compute the next point from the result of an evaluation.",
            buckets: [
                0.00001, 0.000025, 0.0001, 0.00025, 0.001, 0.0025, 0.01, 0.025, 0.1, 0.25, 1, 2.5,
            ])
        stepSeconds = registry.histogram(
            "lbfgsd_step_seconds",
            help: "Time from a step's beginning to its end, evaluations by the client included.",
            buckets: [0.001, 0.01, 0.1, 1, 10, 60, 600, 3600, 21_600, 86_400])
        byState = Dictionary(
            uniqueKeysWithValues: SessionPhase.allCases.map { phase in
                let gauge = registry.gauge(
                    "lbfgsd_sessions", help: "Stored sessions by state.",
                    labels: [("state", phase.rawValue)])
                return (phase, gauge)
            })
        damaged = registry.gauge(
            "lbfgsd_sessions", help: "Stored sessions by state.", labels: [("state", "damaged")])
    }

    func publish(_ census: Census) {
        damaged.set(Double(census.damaged))
        for (phase, gauge) in byState { gauge.set(Double(census.counts[phase] ?? 0)) }
    }
}
