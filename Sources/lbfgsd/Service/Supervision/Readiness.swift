internal import Sessions
internal import Synchronization

/// Whether the store takes writes, for `/readyz`. Clients may ask at any rate, so one probe answers
/// all requests within a second, and a probe that hangs counts as failed after two.
actor Readiness {
    private let store: any Store
    private var newest: (probe: Task<Bool, Never>, begun: ContinuousClock.Instant)?

    private static let freshness = Duration.seconds(1)
    private static let patience = Duration.seconds(2)

    init(store: any Store) { self.store = store }

    func isReady() async -> Bool {
        let now = ContinuousClock.now
        if let newest, now - newest.begun < Readiness.freshness {
            return await Readiness.value(of: newest.probe)
        }
        let probe = Task { [store] in
            do {
                try await store.probe()
                return true
            } catch {
                return false
            }
        }
        newest = (probe, now)
        return await Readiness.value(of: probe)
    }

    /// Returns false when the probe takes too long. The probe can't be cancelled and goes on.
    private static func value(of probe: Task<Bool, Never>) async -> Bool {
        let (answers, answer) = AsyncStream.makeStream(of: Bool.self)
        let asking = Task { answer.yield(await probe.value) }
        let waiting = Task {
            try? await Task.sleep(for: patience)
            answer.yield(false)
        }
        defer {
            asking.cancel()
            waiting.cancel()
        }
        for await first in answers { return first }
        return false
    }
}
