import Foundation
import Sessions
import Synchronization
import TestKit
import Testing

/// A clock that moves by a second a look, so that records are repeatable.
func makeClock() -> @Sendable () -> Date {
    let ticks = Mutex(0.0)
    return {
        Date(
            timeIntervalSince1970: ticks.withLock { ticks in
                ticks += 1
                return ticks
            })
    }
}

func makeService(
    store: any Store = MemoryStore(), _ change: (inout Limits) -> Void = { _ in }
) -> SessionService {
    var limits = Limits()
    change(&limits)
    return SessionService(store: store, limits: limits, now: makeClock())
}

func makeRequest(
    _ values: [Double] = [-1.2, 1], search: Options.LineSearchFunction? = .strongWolfe
) -> CreateRequest {
    var request = CreateRequest(
        parameters: [ParameterInput(name: nil, shape: [values.count], values: values)])
    request.isShortForm = true
    request.options.lineSearch = .some(search)
    return request
}

func makeSession(
    _ service: SessionService, _ request: CreateRequest = makeRequest()
) async throws -> SessionID {
    try await service.create(request).value.record.id
}

let problem = Problem.rosenbrock()

func answer(_ turn: Turn) -> TellRequest {
    let (loss, gradient) = problem.evaluate(turn.x.doubles)
    return .evaluated(loss: loss, gradient: .flat(gradient))
}

/// Answers what is pending until the step ends, or `count` times.
@discardableResult
func run(
    _ service: SessionService, _ id: SessionID, count: Int = .max
) async throws -> [Vector] {
    var points: [Vector] = []
    var turn = try await service.turn(id)
    while let number = turn.evaluation, points.count < count {
        points.append(turn.x)
        turn = try await service.tell(id, evaluation: number, answer(turn)).value
    }
    return points
}

func refusal(_ body: () async throws -> Void) async -> SessionError? {
    do {
        try await body()
        return nil
    } catch {
        return error as? SessionError
    }
}

extension SessionService {
    func beginStep(
        _ id: SessionID, idempotency key: IdempotencyKey? = nil
    ) async throws(SessionError) -> Outcome<Turn> {
        try await withSession(id) { try await $0.beginStep(idempotency: key) }
    }
}

/// The fields that a creation is refused for.
func refusedFields(_ service: SessionService, _ request: CreateRequest) async -> [String] {
    let error = await refusal { _ = try await service.create(request) }
    guard case .invalid(let errors) = error else { return ["\(String(describing: error))"] }
    return errors.map(\.field)
}
