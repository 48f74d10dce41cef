internal import Telemetry

/// What the committer measures.
struct StoreMetrics: Sendable {
    let commits: Counter
    let writes: Counter
    let commitSeconds: Histogram
    let syncSeconds: Histogram
    let queueSeconds: Histogram

    private static let buckets = [
        0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5,
        10,
    ]

    init(_ registry: MetricsRegistry) {
        commits = registry.counter(
            "lbfgsd_store_commits_total",
            help: "Commits: frames of the write-ahead log, and transactions.")
        writes = registry.counter(
            "lbfgsd_store_writes_total", help: "Writes that commits have made durable.")
        commitSeconds = registry.histogram(
            "lbfgsd_store_commit_seconds", help: "Duration of a transaction for a group of writes.",
            buckets: Self.buckets)
        syncSeconds = registry.histogram(
            "lbfgsd_store_sync_seconds",
            help: "Time to write and sync a frame of the write-ahead log.", buckets: Self.buckets)
        queueSeconds = registry.histogram(
            "lbfgsd_store_queue_seconds",
            help: "Time that a write waited before its commit began.", buckets: Self.buckets)
    }

    /// A commit begins that the writes have waited for.
    func began(
        _ at: ContinuousClock.Instant, after arrivals: some Sequence<ContinuousClock.Instant>
    ) {
        for arrival in arrivals { queueSeconds.observe(at - arrival) }
    }

    func committed(_ count: Int) {
        commits.increment()
        writes.increment(by: count)
    }
}
