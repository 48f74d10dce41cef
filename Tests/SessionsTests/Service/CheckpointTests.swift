import Sessions
import TestKit
import Testing

struct CheckpointTests {
    @Test func `every checkpoint of a run restores and forks to the same continuation`()
        async throws
    {
        let service = makeService { $0.snapshotIntervalEvaluations = 4 }
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
        let service = makeService { $0.snapshotIntervalEvaluations = 2 }
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

    @Test func `checkpoints have a limit, and deleting one makes room`() async throws {
        let store = MemoryStore()
        let service = makeService(store: store) { $0.checkpointsMax = 2 }
        let id = try await makeSession(service)
        _ = try await service.createCheckpoint(id)
        _ = try await service.createCheckpoint(id)
        let expected = SessionError.overloaded(
            limit: .checkpoints, maximum: 2, retryAfterSeconds: 60)
        #expect(await refusal { _ = try await service.createCheckpoint(id) } == expected)
        // They are counted anew where the session was not in memory.
        let other = makeService(store: store) { $0.checkpointsMax = 2 }
        #expect(await refusal { _ = try await other.createCheckpoint(id) } == expected)
        try await other.withSession(id) { try await $0.deleteCheckpoint(1) }
        #expect(try await other.createCheckpoint(id).value.record.number == 3)
        #expect(await refusal { _ = try await other.createCheckpoint(id) } == expected)
    }
}
