import Sessions
import TestKit
import Testing

struct WaitingTests {
    @Test func `a long poll returns as soon as a step begins`() async throws {
        let service = makeService()
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
        let service = makeService()
        let id = try await makeSession(service)
        async let waiting = refusal { _ = try await service.turn(id, waitSeconds: 3600) }
        try await Task.sleep(for: .milliseconds(50))
        await service.shutdown()
        #expect(await waiting == .shuttingDown)
        #expect(await refusal { _ = try await service.view(id) } == .shuttingDown)
    }

    @Test func `an event stream shows what was missed, then what happens`() async throws {
        let service = makeService()
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

    @Test func `an event stream ends where its trace can't be read`() async throws {
        let store = MemoryStore()
        let service = makeService(store: store)
        // A slope: every evaluation is followed by another.
        let id = try await makeSession(service, makeRequest([0, 0], search: nil))
        var told = 0
        while told <= 1_100 {
            var turn = try await service.beginStep(id).value
            while let number = turn.evaluation {
                told += 1
                turn = try await service.tell(
                    id, evaluation: number,
                    .evaluated(loss: -Double(told), gradient: .flat([1, 1]))
                ).value
            }
        }
        let asked = try await service.trace(id, limit: 10_000).count
        #expect(asked > 1_000)
        let stream = try await service.events(id, after: 0)
        await store.failTraces(with: .failed("injected"))
        var iterator = stream.makeAsyncIterator()
        var numbers: [Int] = []
        while case .evaluation(let point)? = await iterator.next() {
            numbers.append(point.evaluation)
        }
        // The page that was read, then the end: no live event after a gap.
        #expect(numbers == Array(1...numbers.count) && numbers.count < asked)
        #expect(await iterator.next() == nil)
        let error = await refusal { _ = try await service.events(id, after: 0) }
        #expect(error == .storageFailed("injected"))
    }
}
