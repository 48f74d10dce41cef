internal import Sessions
internal import Synchronization

/// Whether the store takes writes, for `/readyz`. Anybody may ask at any rate, so one write answers
/// all who ask within a second, and nobody waits long for one that hangs.
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

    /// false when it takes too long. The probe itself can't be cancelled, and goes on.
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
