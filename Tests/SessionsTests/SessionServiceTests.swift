import Foundation
import Synchronization
import Testing

import Sessions
import TestKit

/// A clock that moves by a second a look, so that records are repeatable.
private func makeClock() -> @Sendable () -> Date {
    let ticks = Mutex(0.0)
    return {
        Date(
            timeIntervalSince1970: ticks.withLock { ticks in
                ticks += 1
                return ticks
            })
    }
}

private func make(
    store: any Store = MemoryStore(), _ change: (inout Limits) -> Void = { _ in }
) -> SessionService {
    var limits = Limits()
    change(&limits)
    return SessionService(store: store, limits: limits, now: makeClock())
}

private func makeRequest(
    _ values: [Double] = [-1.2, 1], search: Options.LineSearchFunction? = .strongWolfe
) -> CreateRequest {
    var request = CreateRequest(
        parameters: [ParameterInput(name: nil, shape: [values.count], values: values)])
    request.isShortForm = true
    request.options.lineSearch = .some(search)
    return request
}

private func makeSession(
    _ service: SessionService, _ request: CreateRequest = makeRequest()
) async throws -> SessionID {
    try await service.create(request).value.record.id
}

private let problem = Problem.rosenbrock()

private func answer(_ turn: Turn) -> TellRequest {
    let (loss, gradient) = problem.evaluate(turn.x.doubles)
    return .evaluated(loss: loss, gradient: .flat(gradient))
}

/// Answers what is pending until the step ends, or `count` times.
@discardableResult
private func run(
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

private func refusal(_ body: () async throws -> Void) async -> SessionError? {
    do {
        try await body()
        return nil
    } catch {
        return error as? SessionError
    }
}

struct SessionServiceTests {
    @Test func `a client fits Rosenbrock by ask and tell`() async throws {
        let service = make()
        let id = try await makeSession(service)
        for _ in 0..<5 {
            _ = try await service.beginStep(id)
            try await run(service, id)
        }
        let turn = try await service.turn(id)
        #expect(turn.phase == .idle && turn.step == 5)
        #expect(problem.evaluate(turn.x.doubles).loss < 1e-8)
    }

    @Test func `telling twice changes nothing, and telling otherwise is refused`() async throws {
        let service = make()
        let id = try await makeSession(service)
        let first = try await service.beginStep(id).value
        let told = try await service.tell(id, evaluation: 1, answer(first))
        let again = try await service.tell(id, evaluation: 1, answer(first))
        #expect(!told.isReplay && again.isReplay)
        #expect(told.value == again.value)
        let other = TellRequest.evaluated(loss: 1, gradient: .flat([0, 0]))
        #expect(
            await refusal { _ = try await service.tell(id, evaluation: 1, other) }
                == .alreadyTold(1))
        #expect(
            await refusal { _ = try await service.tell(id, evaluation: 3, other) }
                == .evaluationNotReached(3, pending: 2))
        #expect(try await service.turn(id) == told.value)
    }

    @Test func `an evaluation closed by a stop or a restore is gone, and its number isn't reused`()
        async throws
    {
        let service = make()
        let id = try await makeSession(service)
        _ = try await service.beginStep(id)
        try await run(service, id, count: 3)
        let pending = try await service.turn(id)
        let checkpoint = try await service.createCheckpoint(id).value.record.number
        _ = try await service.stop(id)
        #expect(
            await refusal { _ = try await service.tell(id, evaluation: 4, answer(pending)) }
                == .evaluationClosed(4, pending: nil))
        let restored = try await service.restore(id, checkpoint: checkpoint).value
        #expect(restored.x == pending.x)
        #expect(restored.evaluation == 5)
        #expect(restored.step == 2, "the resumed step has a number and a result of its own")
        _ = try await service.restore(id, checkpoint: checkpoint)
        #expect(try await service.step(id, number: 2).record?.result.reason == .stopped)
    }

    @Test(arguments: [DType.float64, .float32], [HistoryDType?.none] + HistoryDType.allCases)
    func `a service that restarts before every call has the same bits`(
        dtype: DType, historyDType: HistoryDType?
    ) async throws {
        var request = makeRequest()
        request.dtype = dtype
        request.options.historyDType = historyDType
        let whole = MemoryStore()
        let wholeService = make(store: whole)
        let one = try await makeSession(wholeService, request)
        let parts = MemoryStore()
        let other = try await makeSession(make(store: parts), request)
        for _ in 0..<3 {
            _ = try await wholeService.beginStep(one)
            _ = try await make(store: parts).beginStep(other)
            while true {
                let turn = try await wholeService.turn(one)
                // A small interval takes the snapshot path too, in the middle of line searches.
                let restarted = make(store: parts) { $0.snapshotIntervalEvaluations = 3 }
                let same = try await restarted.turn(other)
                #expect(same.x == turn.x && same.evaluation == turn.evaluation)
                #expect(same.result == turn.result)
                guard let number = turn.evaluation else { break }
                _ = try await wholeService.tell(one, evaluation: number, answer(turn))
                _ = try await restarted.tell(other, evaluation: number, answer(turn))
            }
        }
    }

    @Test func `every checkpoint of a run restores and forks to the same continuation`()
        async throws
    {
        let service = make { $0.snapshotIntervalEvaluations = 4 }
        let id = try await makeSession(service)
        _ = try await service.beginStep(id)
        var points: [Vector] = []
        while let number = try await service.turn(id).evaluation {
            _ = try await service.createCheckpoint(id)
            let turn = try await service.turn(id)
            points.append(turn.x)
            _ = try await service.tell(id, evaluation: number, answer(turn))
        }
        for (index, point) in points.enumerated() {
            let fork = try await service.fork(id, checkpoint: index + 1).value
            #expect(fork.record.origin?.checkpoint == index + 1)
            let turn = try await service.turn(fork.record.id)
            #expect(turn.x == point && turn.evaluation == 1)
            let rest = try await run(service, fork.record.id)
            #expect(rest == Array(points[index...]))
            let restored = try await service.restore(id, checkpoint: index + 1).value
            #expect(restored.x == point)
            #expect(try await run(service, id) == Array(points[index...]))
        }
    }

    @Test func `a fork outlives the session it came from`() async throws {
        let service = make { $0.snapshotIntervalEvaluations = 2 }
        let id = try await makeSession(service)
        _ = try await service.beginStep(id)
        try await run(service, id, count: 9)
        let number = try await service.createCheckpoint(id).value.record.number
        let fork = try await service.fork(id, checkpoint: number).value.record.id
        try await service.delete(id)
        #expect(
            await refusal { _ = try await service.turn(id) } == .notFound(.session, id: "\(id)"))
        #expect(try await run(service, fork).count > 5)
    }

    @Test func `the same key gives the same session, and another request under it is refused`()
        async throws
    {
        let service = make()
        let key = IdempotencyKey(key: "k", requestDigest: .of([1]))
        let first = try await service.create(makeRequest(), idempotency: key)
        let again = try await service.create(makeRequest(), idempotency: key)
        #expect(first.value == again.value && again.isReplay)
        let other = IdempotencyKey(key: "k", requestDigest: .of([2]))
        #expect(
            await refusal { _ = try await service.create(makeRequest(), idempotency: other) }
                == .idempotencyKeyReused("k"))
        let id = first.value.record.id
        _ = try await service.beginStep(id, idempotency: key)
        try await run(service, id)
        let replayed = try await service.beginStep(id, idempotency: key)
        #expect(replayed.isReplay && replayed.value.phase == .idle)
    }

    @Test func `a failed write leaves what is on disk, and the session goes on`() async throws {
        let store = MemoryStore()
        let service = make(store: store)
        let id = try await makeSession(service)
        let first = try await service.beginStep(id).value
        await store.failWrites(1, with: .full("no space left"))
        #expect(
            await refusal { _ = try await service.tell(id, evaluation: 1, answer(first)) }
                == .storageFull("no space left"))
        #expect(try await service.turn(id) == first)
        let told = try await service.tell(id, evaluation: 1, answer(first))
        #expect(!told.isReplay && told.value.evaluation == 2)
    }

    @Test func `a long poll returns as soon as a step begins`() async throws {
        let service = make()
        let id = try await makeSession(service)
        try await onThread {
            async let waiting = service.turn(id, waitSeconds: 3600)
            try await Task.sleep(for: .milliseconds(50))
            let began = ContinuousClock.now
            _ = try await service.beginStep(id)
            #expect(try await waiting.evaluation == 1)
            #expect(ContinuousClock.now - began < .seconds(5))
        }
        #expect(try await service.turn(id, waitSeconds: 0.05).evaluation == 1)
    }

    @Test func `shutting down wakes who waits, and refuses new work`() async throws {
        let service = make()
        let id = try await makeSession(service)
        async let waiting = refusal { _ = try await service.turn(id, waitSeconds: 3600) }
        try await Task.sleep(for: .milliseconds(50))
        await service.shutdown()
        #expect(await waiting == .shuttingDown)
        #expect(await refusal { _ = try await service.view(id) } == .shuttingDown)
    }

    @Test func `an event stream shows what was missed, then what happens`() async throws {
        let service = make()
        let id = try await makeSession(service)
        _ = try await service.beginStep(id)
        try await run(service, id, count: 4)
        let stream = try await service.events(id, after: 1)
        try await run(service, id)
        var numbers: [Int] = []
        for await event in stream {
            if case .evaluation(let point) = event { numbers.append(point.evaluation) }
            if case .step(let step) = event {
                #expect(step.lastEvaluation == numbers.last)
                break
            }
        }
        #expect(numbers == Array(2...(numbers.last ?? 0)) && numbers.count > 5)
    }

    @Test func `sessions leave memory when there are too many, and come back`() async throws {
        let service = make { $0.residentSessionsMax = 4 }
        var sessions: [SessionID] = []
        for _ in 0..<20 { sessions.append(try await makeSession(service)) }
        for id in sessions {
            _ = try await service.beginStep(id)
            try await run(service, id, count: 2)
        }
        for id in sessions { #expect(try await service.turn(id).evaluation == 3) }
    }

    @Test func `what is wrong with a request is named, and nothing changes`() async throws {
        let service = make { $0.parametersMax = 10 }
        func fields(_ request: CreateRequest) async -> [String] {
            let error = await refusal { _ = try await service.create(request) }
            guard case .invalid(let errors) = error else { return ["\(String(describing: error))"] }
            return errors.map(\.field)
        }
        #expect(await fields(makeRequest([])) == ["x0"])
        #expect(await fields(makeRequest(Array(repeating: 1, count: 11))) == ["x0"])
        #expect(await fields(makeRequest([.nan])) == ["x0"])
        var request = makeRequest([1e300])
        request.dtype = .float32
        #expect(await fields(request) == ["x0"])
        request = makeRequest()
        request.options.lr = -1
        #expect(await fields(request) == ["options.lr"])
        request.options.lr = 1
        request.options.historySize = .max
        #expect(await fields(request) == ["options.history_size"])
        request = CreateRequest(parameters: [
            ParameterInput(name: "w", shape: [2, 2], values: [1, 2, 3]),
            ParameterInput(name: "w", shape: [-1], values: []),
        ])
        #expect(await fields(request).contains("params[0].values"))
        #expect(await fields(request).contains("params[1].shape"))
        #expect(try await service.list().items.isEmpty)
    }

    @Test func `parameters can be filled, and memory is checked before it is taken`() async throws {
        let service = make { $0.parametersMax = 10 }
        func fields(_ request: CreateRequest) async -> [String] {
            let error = await refusal { _ = try await service.create(request) }
            guard case .invalid(let errors) = error else { return ["\(String(describing: error))"] }
            return errors.map(\.field)
        }
        func request(_ count: Int, _ value: Double) -> CreateRequest {
            CreateRequest(parameters: [
                ParameterInput(name: "w", shape: [count], values: .fill(value)),
                ParameterInput(name: "b", shape: [2], values: [3, 4]),
            ])
        }
        var narrow = request(3, 0.1)
        narrow.dtype = .float32
        let id = try await makeSession(service, narrow)
        #expect(try await service.parameters(id).values == .float32([0.1, 0.1, 0.1, 3, 4]))
        narrow = request(3, 1e39)
        narrow.dtype = .float32
        #expect(await fields(narrow) == ["params[0].fill"])
        #expect(await fields(request(3, .nan)) == ["params[0].fill"])
        #expect(await fields(request(9, 1)) == ["params"])
        #expect(await fields(request(.max, 1)) == ["params"])
        var huge = request(8, 1)
        huge.options.historySize = .max
        #expect(await fields(huge) == ["options.history_size"])
    }

    @Test func `narrow pairs need less memory, and may be asked for later`() async throws {
        let service = make()
        func bytes(_ historyDType: HistoryDType?) async throws -> Int {
            var request = makeRequest()
            request.options.historyDType = historyDType
            return try await service.create(request).value.memoryBytesEstimate
        }
        let wide = try await bytes(nil)
        #expect(try await bytes(.float64) == wide)
        let saved = 2 * 2 * 101 * 4
        #expect(try await bytes(.float32) == wide - saved)
        #expect(try await bytes(.bfloat16) == wide - saved * 3 / 2)

        let id = try await makeSession(service)
        var update = UpdateRequest()
        update.options = OptionsPatch()
        update.options?.historyDType = .bfloat16
        let view = try await service.update(id, update)
        #expect(view.options.historyDType == .bfloat16)
        #expect(view.memoryBytesEstimate == wide - saved * 3 / 2)
    }

    @Test func `gradients come by name, and an absent one is zeros`() async throws {
        let service = make()
        let request = CreateRequest(parameters: [
            ParameterInput(name: "w", shape: [2], values: [1, 2]),
            ParameterInput(name: "b", shape: [], values: [3]),
        ])
        let id = try await makeSession(service, request)
        _ = try await service.beginStep(id)
        let wrong = TellRequest.evaluated(loss: 1, gradient: .named(["w": [1], "c": [1]]))
        guard
            case .invalid(let errors) = await refusal({
                _ = try await service.tell(id, evaluation: 1, wrong)
            })
        else {
            Issue.record("it was accepted")
            return
        }
        #expect(errors.map(\.field) == ["gradients.w", "gradients.c"])
        let told = try await service.tell(
            id, evaluation: 1, .evaluated(loss: 1, gradient: .named(["w": [0.5, 0], "b": nil])))
        #expect(told.value.x == .float64([0.5, 2, 3]))
    }

    @Test func `a state dict and parameters carry a run to another session`() async throws {
        let service = make()
        let one = try await makeSession(service)
        _ = try await service.beginStep(one)
        try await run(service, one)
        let other = try await makeSession(service, makeRequest([5, 5]))
        let (dict, _) = try await service.stateDict(one)
        _ = try await service.loadStateDict(other, dict)
        _ = try await service.setParameters(
            other, .flat(try await service.parameters(one).values.doubles))
        _ = try await service.beginStep(one)
        _ = try await service.beginStep(other)
        #expect(try await run(service, one) == run(service, other))
    }

    @Test func `preconditions guard against changes in between`() async throws {
        let service = make()
        let id = try await makeSession(service)
        let old = try await service.view(id).tag
        var update = UpdateRequest()
        update.name = .some("renamed")
        let new = try await service.update(id, update, precondition: .oneOf([old.text])).tag
        #expect(
            await refusal {
                _ = try await service.update(id, update, precondition: .oneOf([old.text]))
            }
                == .preconditionFailed(current: new))
    }

    @Test("A heavy session runs aside, and its replay leads where it went")
    func heavy() async throws {
        let store = MemoryStore()
        let service = make(store: store)
        let count = 120_000
        let heavy = try await makeSession(
            service, makeRequest([Double](repeating: 1, count: count), search: nil))
        let light = try await makeSession(service)
        _ = try await service.beginStep(heavy)
        _ = try await service.beginStep(light)
        let gradient = (0..<count).map { Double($0 % 7) - 3 }
        async let points = run(service, light)
        var turn = try await service.turn(heavy)
        for round in 1...4 {
            turn = try await service.tell(
                heavy, evaluation: round,
                .evaluated(
                    loss: 10 / Double(round), gradient: .flat(gradient.map { $0 / Double(round) }))
            ).value
        }
        #expect(try await points.count > 1)
        #expect(turn.evaluation == 5 && turn.x.count == count)
        #expect(try await make(store: store).turn(heavy) == turn)
    }
}
