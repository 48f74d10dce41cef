import Sessions
import TestKit
import Testing

struct TellTests {
    @Test func `a client fits Rosenbrock by ask and tell`() async throws {
        let service = makeService()
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
        let service = makeService()
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
        let service = makeService()
        let id = try await makeSession(service)
        _ = try await service.beginStep(id)
        try await run(service, id, count: 3)
        let pending = try await service.turn(id)
        let checkpoint = try await service.createCheckpoint(id).value.record.number
        _ = try await service.withSession(id) { try await $0.stop() }
        #expect(
            await refusal { _ = try await service.tell(id, evaluation: 4, answer(pending)) }
                == .evaluationClosed(4, pending: nil))
        let restored = try await service.restore(id, checkpoint: checkpoint).value
        #expect(restored.x == pending.x)
        #expect(restored.evaluation == 5)
        #expect(restored.step == 2, "the resumed step has a number and a result of its own")
        _ = try await service.restore(id, checkpoint: checkpoint)
        let stopped = try await service.withSession(id) { try await $0.step(2) }
        #expect(stopped.record?.result.reason == .stopped)
    }

    @Test func `a failed write leaves what is on disk, and the session goes on`() async throws {
        let store = MemoryStore()
        let service = makeService(store: store)
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

    @Test func `a write that is refused changes nothing, and the session stays`() async throws {
        let store = MemoryStore()
        let service = makeService(store: store)
        let id = try await makeSession(service)
        let resident = try await service.withSession(id) { ObjectIdentifier($0) }
        let overloaded = SessionError.overloaded(
            limit: .waitingWrites, maximum: 0, retryAfterSeconds: 1)
        store.refuseWrites(1)
        #expect(await refusal { _ = try await service.beginStep(id) } == overloaded)
        let first = try await service.beginStep(id).value
        #expect(first.step == 1 && first.evaluation == 1)
        store.refuseWrites(3)
        for _ in 1...2 {
            #expect(
                await refusal { _ = try await service.tell(id, evaluation: 1, answer(first)) }
                    == overloaded)
        }
        #expect(try await service.turn(id) == first)
        #expect(await refusal { _ = try await makeSession(service) } == overloaded)
        let object = try await service.withSession(id) { ObjectIdentifier($0) }
        #expect(object == resident, "the session has stayed in memory")
        let told = try await service.tell(id, evaluation: 1, answer(first))
        #expect(!told.isReplay && told.value.evaluation == 2)
    }

    @Test func `gradients come by name, and an absent one is zeros`() async throws {
        let service = makeService()
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
}
