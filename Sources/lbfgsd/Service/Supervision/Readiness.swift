internal import Sessions
internal import Synchronization

/// Why the store does not take writes, for `/readyz`; nil if it does. Clients may ask at any rate,
/// so one probe answers all requests within a second, and a probe that hangs counts as failed after
/// two.
actor Readiness {
    private let store: any Store
    private let disk: DiskMonitor?
    private let replication: (any ReplicationSource)?
    private var newest: (probe: Task<String?, Never>, begun: ContinuousClock.Instant)?

    private static let freshness = Duration.seconds(1)
    private static let patience = Duration.seconds(2)
    private static let unknown = "The store does not take writes; the server's log says more."

    init(store: any Store, disk: DiskMonitor?, replication: (any ReplicationSource)? = nil) {
        self.store = store
        self.disk = disk
        self.replication = replication
    }

    func failure() async -> String? {
        if let failure = disk?.failure { return failure }
        switch replication?.writeRefusal {
        case .fenced(let term): return Readiness.fenced(term)
        case .standbyMissing(let seconds):
            return "No standby has acknowledged anything for \(seconds) s, and each write has to "
                + "be on one."
        default: break
        }
        let now = ContinuousClock.now
        if let newest, now - newest.begun < Readiness.freshness {
            return await Readiness.value(of: newest.probe)
        }
        let probe = Task { [store] () -> String? in
            do {
                try await store.probe()
                return nil
            } catch StoreError.full(let reason) {
                return "The disk is full: \(reason)"
            } catch StoreError.fenced(let term) {
                return Readiness.fenced(term)
            } catch {
                return Readiness.unknown
            }
        }
        newest = (probe, now)
        return await Readiness.value(of: probe)
    }

    private static func fenced(_ term: Int) -> String {
        "Another store was promoted with term \(term): this one takes no writes."
    }

    /// A probe that takes too long has failed. It can't be cancelled and goes on.
    private static func value(of probe: Task<String?, Never>) async -> String? {
        let (answers, answer) = AsyncStream.makeStream(of: String?.self)
        let asking = Task { answer.yield(await probe.value) }
        let waiting = Task {
            try? await Task.sleep(for: patience)
            answer.yield(unknown)
        }
        defer {
            asking.cancel()
            waiting.cancel()
        }
        for await first in answers { return first }
        return unknown
    }
}
