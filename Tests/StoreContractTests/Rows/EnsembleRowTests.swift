import Foundation
import SQLiteStore
import Sessions
import Testing

@Suite struct EnsembleRowTests {
    /// Computing with such sizes would end the process.
    @Test(
        "A stored specification with sizes that can't be is damage",
        arguments: [
            ([ParameterSpec(name: nil, shape: [1 << 40, 1 << 40])], 1, nil),
            ([ParameterSpec(name: nil, shape: [-1])], 1, nil),
            ([ParameterSpec(name: nil, shape: [2])], .max, nil),
            ([ParameterSpec(name: nil, shape: [3])], 1, SamplingBox(lower: [0], upper: [1, 1])),
        ] as [([ParameterSpec], Int, SamplingBox?)])
    func sizes(_ parameters: [ParameterSpec], _ count: Int, _ box: SamplingBox?) async throws {
        try await withDirectory { directory in
            let store = try await SQLiteStore(directory: directory)
            var generator = SeededGenerator(seed: 1)
            var specification = EnsembleSpecification(
                parameters: parameters, count: count, starts: .given)
            specification.box = box
            let record = EnsembleRecord(
                id: .random(using: &generator), tenant: "default", specification: specification,
                createdAt: make(time: 1))
            let member = NewSession(
                record: make(record: make(session: 1)), entry: make(entry: 1),
                snapshot: make(snapshot: 1, [("x", .new([1, 2, 3, 4]))]))
            try await store.create(record, members: [member], idempotency: nil)
            await expectError(.corrupt("an ensemble's specification has sizes that can't be")) {
                _ = try await store.ensemble(record.id)
            }
            await store.close()
        }
    }
}
