import Sessions
import TestKit
import Testing

struct PreconditionTests {
    @Test func `the same key gives the same session, and another request under it is refused`()
        async throws
    {
        let service = makeService()
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

    @Test func `a state that is ahead of the disk after an error is loaded again`() async throws {
        let service = makeService()
        let id = try await makeSession(service)
        let before = try await service.turn(id)
        let error = await refusal {
            try await service.withSession(id) { try await $0.failAfterChange() }
        }
        #expect(error == .noStepRunning)
        #expect(try await service.turn(id) == before)
        // The next entry has the next number.
        _ = try await service.beginStep(id)
        #expect(try await run(service, id).count > 3)
    }

    @Test func `preconditions guard against changes in between`() async throws {
        let service = makeService()
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
}
