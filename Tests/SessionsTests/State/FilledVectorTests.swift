import Sessions
import TestKit
import Testing

struct FilledVectorTests {
    private func makeFilled(_ dtype: DType, count: Int) -> CreateRequest {
        var request = CreateRequest(parameters: [
            ParameterInput(name: "w", shape: [count / 2, 2], values: .fill(-0.0)),
            ParameterInput(name: "v", shape: [count], values: .fill(0.1)),
            ParameterInput(name: "b", shape: [2], values: [3, 4]),
        ])
        request.dtype = dtype
        request.options.historySize = 2
        return request
    }

    @Test(arguments: [DType.float64, .float32])
    func `a filled parameter takes no vector on disk, and comes back bit for bit`(
        dtype: DType
    ) async throws {
        let store = MemoryStore()
        let service = makeService(store: store)
        let id = try await makeSession(service, makeFilled(dtype, count: 100_000))
        let values = try await service.withSession(id) { try await $0.parameters() }.values
        #expect(try await store.diskBytes(id) < 10_000)
        // Another service loads it from the store; so do a checkpoint and a fork of it.
        let other = makeService(store: store)
        let loaded = try await other.withSession(id) { try await $0.parameters() }.values
        #expect(loaded.bytes == values.bytes && loaded.dtype == dtype)
        let number = try await other.createCheckpoint(id).value.record.number
        let fork = try await other.fork(id, checkpoint: number).value.record.id
        #expect(try await store.diskBytes(fork) < 10_000)
        let forked = try await other.withSession(fork) { try await $0.parameters() }.values
        #expect(forked.bytes == values.bytes)
    }

    @Test func `a vector that differs is written as it is`() async throws {
        let store = MemoryStore()
        let service = makeService(store: store)
        let values = (0..<10_000).map { Double($0 / 4) }
        let id = try await makeSession(service, makeRequest(values))
        #expect(try await store.diskBytes(id) > 80_000)
        #expect(try await store.load(id).snapshot.formatVersion == 2)
        let filled = try await makeSession(service, makeFilled(.float64, count: 2_000))
        let stored = try await store.load(filled).snapshot
        #expect(stored.formatVersion == 3 && stored.vectors["x"] == nil)
        // A step that moves the parameters ends with a vector again.
        _ = try await service.beginStep(filled)
        while let number = try await service.turn(filled).evaluation {
            let x = try await service.turn(filled).x.doubles
            let gradient = x.indices.map { Double($0 % 7) }
            _ = try await service.tell(
                filled, evaluation: number, .evaluated(loss: 1, gradient: .flat(gradient)))
        }
        let moved = try await service.withSession(filled) { try await $0.parameters() }.values
        await service.shutdown()
        #expect(try await store.load(filled).snapshot.vectors["x"]?.octets.count == 32_016)
        let other = makeService(store: store)
        let again = try await other.withSession(filled) { try await $0.parameters() }.values
        #expect(again.bytes == moved.bytes)
    }
}
