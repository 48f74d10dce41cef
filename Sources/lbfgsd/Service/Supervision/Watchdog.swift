internal import Sessions
internal import Telemetry

/// Notifies the service manager's watchdog after the daemon has answered a request and the store
/// has written to disk. A round that hangs sends nothing, so that the manager restarts the daemon.
struct Watchdog: Sendable {
    /// The manager's limit. Notifications are sent at half of it, so that one late round does no
    /// harm.
    var limitSeconds: Double
    var manager: ServiceManager
    var request: SelfRequest
    var store: any Store
    var log: Logger

    /// Until the task is cancelled. A failed round is logged; the next may succeed.
    func run() async {
        while !Task.isCancelled {
            do {
                try await request.run()
                do {
                    try await store.probe()
                } catch StoreError.full {
                    // A restart would make no room: reads and deletions go on meanwhile.
                } catch StoreError.fenced {
                    // For good: reads go on.
                }
                manager.notify(.watchdog)
            } catch {
                log.error("not feeding the watchdog", metadata: ["error": "\(error)"])
            }
            try? await Task.sleep(for: .seconds(limitSeconds / 2))
        }
    }
}
