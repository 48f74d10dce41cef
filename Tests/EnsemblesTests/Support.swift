import Ensembles
import Foundation
import Sessions
import Synchronization
import Testing

/// A clock that a test moves.
final class Clock: Sendable {
    private let seconds = Mutex(1_000.0)

    var now: Date { Date(timeIntervalSince1970: seconds.withLock { $0 }) }

    func advance(_ more: Double) { seconds.withLock { $0 += more } }
}

/// A service on a store, as a process has one.
struct World {
    let store: any Store
    let clock: Clock
    let service: EnsembleService
    var sessions: SessionService { service.sessions }

    init(
        store: any Store = MemoryStore(), clock: Clock = Clock(),
        tenants: TenantLedger = TenantLedger(), _ change: (inout Limits) -> Void = { _ in }
    ) {
        var limits = Limits()
        change(&limits)
        self.store = store
        self.clock = clock
        service = EnsembleService(
            SessionService(
                store: store, limits: limits, tenants: tenants, now: { clock.now }))
    }

    /// Another process on the same store.
    func restarted() async -> World {
        await service.shutdown()
        await sessions.shutdown()
        return World(store: store, clock: clock)
    }

    /// The same after kill -9: nothing is saved, and nothing said.
    func killed() -> World { World(store: store, clock: clock) }
}

/// Starts of one number each.
func makeRequest(
    _ starts: [Double] = [1, 2, 3], _ change: (inout EnsembleRequest) -> Void = { _ in }
) -> EnsembleRequest {
    var request = EnsembleRequest(starts: .given(starts.map { [$0] }))
    request.options.lineSearch = .some(.strongWolfe)
    change(&request)
    return request
}

/// A double well: minima of loss -1 at x = -1 and of loss 1 at x = 3.
func doubleWell(_ x: Double) -> (Double, Double) {
    x < 1
        ? ((x + 1) * (x + 1) - 1, 2 * (x + 1))
        : ((x - 3) * (x - 3) + 1, 2 * (x - 3))
}

extension EnsembleOffer {
    func told(_ function: (Double) -> (Double, Double) = doubleWell) -> EvaluationItem {
        let (loss, gradient) = function(x.doubles[0])
        return EvaluationItem(
            session: session.rawValue,
            told: (evaluation, .evaluated(loss: loss, gradient: .flat([gradient]))))
    }
}

extension World {
    func create(_ request: EnsembleRequest = makeRequest()) async throws -> EnsembleID {
        try await service.create(request).value.record.id
    }

    func ask(_ id: EnsembleID, _ count: Int = 1, worker: String = "w") async throws -> EnsembleTurn
    {
        try await service.ask(id, EnsembleAsk(count: count, worker: worker))
    }

    /// Asks for `width` points at a time and tells them until the ensemble is finished, or `count`
    /// results were told. Returns what was told, in its order.
    @discardableResult
    func run(
        _ id: EnsembleID, width: Int = 2, count: Int = .max,
        _ function: (Double) -> (Double, Double) = doubleWell
    ) async throws -> [String] {
        var told: [String] = []
        var turn = try await ask(id, width)
        while turn.outcome == nil, told.count < count {
            let offers = turn.offers
            try #require(!offers.isEmpty)
            told += offers.map { "\($0.member)/\($0.evaluation)/\($0.x.doubles[0])" }
            turn = try await service.tell(
                id, offers.map { $0.told(function) }, asking: EnsembleAsk(count: width)
            ).turn
        }
        return told
    }

    func members(_ id: EnsembleID) async throws -> [MemberView] {
        try await service.ranking(id).members.sorted { $0.number < $1.number }
    }
}

func refusal(_ body: () async throws -> Void) async -> SessionError? {
    do {
        try await body()
        return nil
    } catch {
        return error as? SessionError
    }
}
