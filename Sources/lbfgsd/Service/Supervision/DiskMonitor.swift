internal import SQLiteStore
internal import Synchronization
internal import Telemetry

/// Watches the space that is left for the store: logs when it runs out and when it returns, once
/// each, and gives `/readyz` and `/metrics` the numbers.
final class DiskMonitor: Sendable {
    private enum Condition {
        case roomy
        /// Below the reserve: nothing new is created.
        case low
        /// Results can't be stored either.
        case full
    }

    private static let checkSeconds = 1.0
    /// The store's files are looked at every so many checks.
    private static let checksBetweenSums = 60

    private let store: SQLiteStore
    private let reserveBytes: Int
    /// With less, the disk counts as full.
    private let fullBytes: Int
    private let log: Logger
    private let condition = Mutex(Condition.roomy)
    private let usedBytes: Gauge

    /// - Parameter reserveBytes: Below this nothing new is created.
    init(_ store: SQLiteStore, reserveBytes: Int, registry: MetricsRegistry, log: Logger) {
        self.store = store
        self.reserveBytes = reserveBytes
        fullBytes = reserveBytes > 0 ? min(1 << 20, reserveBytes / 4) : 64 << 10
        self.log = log
        usedBytes = registry.gauge(
            "lbfgsd_disk_used_bytes", help: "Space that the data directory's files occupy.")
        registry.gauge(
            "lbfgsd_disk_free_bytes",
            help: "Space that is left on the file system of the data directory.",
            reading: { store.availableBytes().map(Double.init) })
        registry.gauge(
            "lbfgsd_disk_reserve_bytes",
            help: "Free space below which nothing new is created: --disk-reserve-bytes."
        ).set(Double(reserveBytes))
        registry.gauge(
            "lbfgsd_disk_full", help: "1 while the disk is too full to store results, else 0.",
            reading: { [weak self] in self?.check() == .full ? 1 : 0 })
    }

    /// Until the task is cancelled.
    func run() async {
        var checks = 0
        while !Task.isCancelled {
            if checks.isMultiple(of: Self.checksBetweenSums) {
                usedBytes.set(Double(store.usedBytes()))
            }
            switch check() {
            case .roomy: store.roomReturned()
            case .low, .full: store.prepareForFullDisk()
            }
            checks += 1
            try? await Task.sleep(for: .seconds(Self.checkSeconds))
        }
    }

    /// Why results can't be stored; nil if they can.
    var failure: String? {
        guard check() == .full, let available = store.availableBytes() else { return nil }
        return "The disk is full: \(available) bytes are left."
    }

    @discardableResult
    private func check() -> Condition {
        guard let available = store.availableBytes() else { return .roomy }
        let (former, current) = condition.withLock { condition in
            let former = condition
            // A sixteenth more ends the condition than began it, so that it doesn't flicker.
            let reserve = former == .roomy ? reserveBytes : reserveBytes + reserveBytes / 16
            let full = former == .full ? fullBytes + fullBytes / 16 : fullBytes
            condition = available < full ? .full : available < reserve ? .low : .roomy
            return (former, condition)
        }
        if former != current { report(current, available) }
        return current
    }

    private func report(_ condition: Condition, _ available: Int) {
        let numbers: Logger.Metadata = [
            "available_bytes": "\(available)", "reserve_bytes": "\(reserveBytes)",
        ]
        switch condition {
        case .roomy: log.notice("the disk has room again", metadata: numbers)
        case .low:
            log.warning(
                "little space is left on the disk: nothing new is created, results are stored",
                metadata: numbers)
        case .full:
            log.error("the disk is full: results can't be stored", metadata: numbers)
        }
    }
}
