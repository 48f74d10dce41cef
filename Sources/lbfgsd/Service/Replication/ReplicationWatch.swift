internal import Dispatch
internal import SQLiteStore
internal import Sessions
internal import Telemetry

/// The primary's work for its standby beside serving: notices when it is missing, and fences the
/// former primary of a promoted store.
struct ReplicationWatch: Sendable {
    private static let checkMilliseconds = 250
    private static let fenceSeconds = 2.0

    private let store: SQLiteStore
    private let settings: Settings
    private let log: Logger

    init(_ store: SQLiteStore, settings: Settings, log: Logger) {
        self.store = store
        self.settings = settings
        self.log = log
    }

    /// Until the task is cancelled.
    func run() async {
        let fencing = Task { await fenceFormerPrimary() }
        defer { fencing.cancel() }
        while !Task.isCancelled {
            store.checkStandby()
            try? await Task.sleep(for: .milliseconds(Self.checkMilliseconds))
        }
    }

    /// The daemon that was the primary may come back, and does not know that it is not.
    private func fenceFormerPrimary() async {
        guard let url = store.formerPrimary else { return }
        let term = store.replicationStatus.term
        log.notice(
            "the former primary is not fenced yet", metadata: ["url": "\(url)", "term": "\(term)"])
        var reported: String?
        while !Task.isCancelled {
            if let failure = await attemptFence(url, term: term) {
                if failure != reported {
                    log.warning(
                        "the former primary can't be fenced yet",
                        metadata: ["url": "\(url)", "reason": "\(failure)"])
                    reported = failure
                }
                try? await Task.sleep(for: .seconds(Self.fenceSeconds))
                continue
            }
            do {
                try store.formerPrimaryIsFenced()
                log.notice("the former primary is fenced", metadata: ["url": "\(url)"])
                return
            } catch {
                log.error("can't note that the former primary is fenced: \(error)")
                try? await Task.sleep(for: .seconds(Self.fenceSeconds))
            }
        }
    }

    /// Returns why the former primary is not fenced; nil if it is.
    private func attemptFence(_ url: String, term: Int) async -> String? {
        await withCheckedContinuation { continuation in
            // It blocks, and the threads of the cooperative pool must not.
            DispatchQueue.global().async { [settings] in
                do {
                    let client = try PrimaryClient(url, tokenFile: settings.primaryTokenFile)
                    let status = try client.fence(term: term)
                    continuation.resume(
                        returning: status.isFenced
                            ? nil : "its term is \(status.term), which is not lower than \(term)")
                } catch let failure as CommandFailure {
                    continuation.resume(returning: failure.messages.joined(separator: "; "))
                } catch {
                    continuation.resume(returning: "\(error)")
                }
            }
        }
    }

    // MARK: What an operator sees

    static func configuration(_ settings: Settings, log: Logger) -> ReplicationConfiguration {
        var configuration = settings.replicationConfiguration
        let continuesAlone = configuration.continuesAlone
        let isSynchronous = configuration.mode == .synchronous
        configuration.onEvent = { event in
            switch event {
            case .standbyJoined(let id):
                log.notice("a standby copies the store", metadata: ["standby": "\(id)"])
            case .standbyInSync(let id):
                log.notice("the standby is in sync", metadata: ["standby": "\(id)"])
            case .standbyLost(let id, let reason):
                let without =
                    continuesAlone ? ": writes go on WITHOUT a standby" : ": writes are refused"
                let consequence = isSynchronous ? without : ""
                log.log(
                    level: isSynchronous ? .critical : .warning,
                    "the standby is lost\(consequence)",
                    metadata: ["standby": "\(id)", "reason": "\(reason)"])
            case .fenced(let term):
                log.critical(
                    "another store was promoted: this one takes no writes any more",
                    metadata: ["term": "\(term)"])
            }
        }
        return configuration
    }

    static func register(_ store: SQLiteStore, in registry: MetricsRegistry) {
        func gauge(
            _ name: String, _ help: String,
            _ value: @escaping @Sendable (ReplicationStatus) -> Double?
        ) {
            registry.gauge(
                name, help: help,
                reading: { [weak store] in store.flatMap { value($0.replicationStatus) } })
        }
        gauge("lbfgsd_replication_term", "The store's term, which rises with each promotion.") {
            Double($0.term)
        }
        gauge(
            "lbfgsd_replication_fenced",
            "1 if another store was promoted, and this one takes no writes, else 0."
        ) { $0.isFenced ? 1 : 0 }
        gauge("lbfgsd_replication_standby_in_sync", "1 if the standby keeps up, else 0.") {
            $0.standby?.isInSync == true ? 1 : 0
        }
        gauge(
            "lbfgsd_replication_lag_seconds",
            "Age of the oldest change that the standby has not acknowledged."
        ) { $0.standby?.secondsBehind }
        gauge(
            "lbfgsd_replication_lag_bytes",
            "Changes that the standby has not acknowledged, in bytes."
        ) { $0.standby.map { Double($0.bytesBehind) } }
    }
}
