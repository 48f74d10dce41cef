import Sessions
import TestKit
import Testing

struct SessionReplayTests {
    private func stretch(
        evaluations: Int = 6
    ) async throws -> (stretch: StoredStretch, record: SessionRecord) {
        let store = MemoryStore()
        let service = makeService(store: store)
        let id = try await makeSession(service)
        _ = try await service.beginStep(id)
        try await run(service, id, count: evaluations)
        let stored = try await store.load(id)
        #expect(stored.tail.count == evaluations + 1)
        let checkpoint = CheckpointRecord(
            number: 1, name: nil, sequence: stored.tail[3].sequence,
            createdAt: stored.tail[3].time, status: stored.tail[3].status)
        return (
            StoredStretch(
                snapshot: stored.snapshot, tail: stored.tail, checkpoints: [checkpoint]),
            stored.record
        )
    }

    @Test("A journal leads where it was recorded to lead")
    func whole() async throws {
        let (stretch, record) = try await stretch()
        let replayed = SessionReplay.replay(stretch, of: record)
        #expect(replayed.differences == [])
        #expect(replayed.reached?.sequence == stretch.tail.last?.sequence)
        #expect(replayed.reached?.status == stretch.tail.last?.status)
        #expect(replayed.checkpoints == [1])
    }

    @Test("A replay ends at the first entry that leads elsewhere")
    func elsewhere() async throws {
        let (whole, record) = try await stretch()
        for index in 1..<whole.tail.count {
            var point = whole
            point.tail[index].pointDigest = Digest(high: 1, low: 2)
            var payload = whole
            payload.tail[index].payload = .vector(.float64([9, 9]))
            var missing = whole
            missing.tail.remove(at: index)
            for (number, stretch) in [point, payload, missing].enumerated() {
                let replayed = SessionReplay.replay(stretch, of: record)
                // Another gradient is noticed at the next point, or where the last one leads.
                let isNoticedLater = number == 1
                let expected = whole.tail[index - 1].sequence
                let reached = replayed.reached?.sequence ?? 0
                #expect(reached == expected || isNoticedLater && reached == expected + 1)
                let isLast = index == whole.tail.count - 1
                #expect(!replayed.differences.isEmpty || isLast && number != 0)
                #expect(replayed.checkpoints == (reached >= 5 ? [1] : []))
            }
        }
    }

    @Test("A checkpoint that stands elsewhere, and a snapshot that can't be read, are named")
    func checkpoint() async throws {
        var (stretch, record) = try await stretch()
        stretch.checkpoints[0].status.evaluation += 1
        var replayed = SessionReplay.replay(stretch, of: record)
        #expect(replayed.differences.count == 1 && replayed.checkpoints == [])
        stretch.snapshot.scalars.removeLast(9)
        replayed = SessionReplay.replay(stretch, of: record)
        #expect(replayed.reached == nil && replayed.differences.count == 1)
    }
}
