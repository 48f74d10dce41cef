internal import Glibc
internal import SQLiteStore
internal import Sessions
internal import Telemetry

enum StoreOpening {
    /// Removing a session writes a few pages a table, and some for each MiB of its payloads.
    private static let ballastBytes = 4 << 20

    static func open(
        _ data: DataLocation, tracePointsMax: Int, keepsReserve: Bool,
        replication: ReplicationConfiguration = ReplicationConfiguration(),
        registry: MetricsRegistry, log: Logger
    ) async throws(CommandFailure) -> any Store {
        guard case .directory(let path) = data else {
            log.warning("sessions are kept in memory and end with this process")
            guard replication.mode == .off else {
                throw CommandFailure(
                    .configuration, "replication: data :memory: can't have a standby")
            }
            return MemoryStore(tracePointsMax: tracePointsMax)
        }
        try data.check()
        if !data.exists {
            log.warning(
                "there was no store in the data directory; made a new, empty one",
                metadata: ["data": "\(path)"])
        }
        var limits = SQLiteStoreLimits()
        limits.tracePointsMax = tracePointsMax
        limits.ballastBytes = keepsReserve ? ballastBytes : 0
        do throws(StoreError) {
            let store = try await SQLiteStore(
                directory: path, limits: limits, replication: replication, metrics: registry,
                onFatal: { end(log, $0) })
            for finding in store.findings {
                log.warning("found in the store", metadata: ["finding": "\(finding)"])
            }
            return store
        } catch {
            throw failure(error, path: path)
        }
    }

    /// Ends the process at once. After a failed sync the kernel's page cache can't be trusted, so a
    /// new process must read back what is on disk, and this one must not write any more.
    static func end(_ log: Logger, _ reason: String) -> Never {
        log.critical("the disk failed; ending", metadata: ["error": "\(reason)"])
        _exit(ExitStatus.failure.rawValue)
    }

    static func failure(_ error: StoreError, path: String) -> CommandFailure {
        switch error {
        case .full(let what):
            CommandFailure(.storage, "data \(path): no room: \(what)")
        case .corrupt(let what):
            CommandFailure(
                .storage, "data \(path): is damaged: \(what)",
                "restore a backup, or start with another directory; this one is left as it is")
        case .incompatible(let what):
            CommandFailure(.storage, "data \(path): \(what)")
        case .inUse(let what):
            CommandFailure(.temporary, "data \(path): \(what)")
        case .failed(let what):
            CommandFailure(.storage, "data \(path): \(what)")
        case .missing, .exists, .duplicateKey, .outOfOrder, .overloaded, .fenced, .closed:
            CommandFailure(.storage, "data \(path): can't be opened: \(error)")
        }
    }
}
