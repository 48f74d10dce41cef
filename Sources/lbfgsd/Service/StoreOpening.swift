internal import Glibc
internal import SQLiteStore
internal import Sessions
internal import Telemetry

enum StoreOpening {
    static func open(
        _ data: DataLocation, tracePointsMax: Int, log: Logger
    ) async throws(CommandFailure) -> any Store {
        guard case .directory(let path) = data else {
            log.warning("sessions are kept in memory and end with this process")
            return MemoryStore(tracePointsMax: tracePointsMax)
        }
        var limits = SQLiteStoreLimits()
        limits.tracePointsMax = tracePointsMax
        do throws(StoreError) {
            return try await SQLiteStore(
                directory: path, limits: limits,
                onFatal: { end(log, $0) })
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
        case .missing, .exists, .duplicateKey, .outOfOrder, .closed:
            CommandFailure(.storage, "data \(path): can't be opened: \(error)")
        }
    }
}
