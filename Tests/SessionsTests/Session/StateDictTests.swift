import Sessions
import TestKit
import Testing

struct StateDictTests {
    @Test func `a state dict and parameters carry a run to another session`() async throws {
        let service = makeService()
        let one = try await makeSession(service)
        _ = try await service.beginStep(one)
        try await run(service, one)
        let other = try await makeSession(service, makeRequest([5, 5]))
        let (dict, _) = try await service.withSession(one) { try await $0.stateDict() }
        _ = try await service.withSession(other) { try await $0.loadStateDict(dict) }
        let values = try await service.withSession(one) { try await $0.parameters() }.values
        _ = try await service.withSession(other) {
            try await $0.setParameters(.flat(values.doubles))
        }
        _ = try await service.beginStep(one)
        _ = try await service.beginStep(other)
        #expect(try await run(service, one) == run(service, other))
    }
}
