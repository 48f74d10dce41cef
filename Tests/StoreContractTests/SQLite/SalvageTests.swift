import Foundation
import SQLiteStore
import Sessions
import Testing

/// Salvaging without the engine: what replays leads where it was recorded to lead.
@Suite struct SalvageTests {
    /// Takes everything for what was recorded, up to the entry `last`.
    private func replay(
        _ stretch: StoredStretch, through last: SequenceNumber = .max
    ) -> ReplayedStretch {
        var replayed = ReplayedStretch()
        let tail = stretch.tail.prefix { $0.sequence <= last }
        let reached = tail.last?.sequence ?? stretch.snapshot.sequence
        replayed.reached = (
            reached,
            tail.last?.status
                ?? SessionStatus(phase: .evaluating, step: 1, evaluation: reached + 1, loss: nil)
        )
        replayed.checkpoints = stretch.checkpoints.filter { $0.sequence <= reached }.map(\.number)
        return replayed
    }

    /// A store with sessions after many random changes, and whether it is closed in order.
    private func populate(
        _ directory: String, _ kind: StoreKind, seed: UInt64, closes: Bool
    ) async throws -> SQLiteStore {
        let store = try await SQLiteStore(directory: directory, limits: kind.limits)
        var history = RandomHistory(seed: seed)
        for _ in 0..<120 { _ = await history.next().apply(to: store) }
        if closes { await store.close() }
        return store
    }

    private func copy(_ directory: String, to copy: String) throws {
        try FileManager.default.copyItem(atPath: directory, toPath: copy)
        try? FileManager.default.removeItem(atPath: copy + "/lbfgsd.sqlite-shm")
    }

    private struct Seen: Equatable {
        var sessions: [StoredSession] = []
        var traces: [[TracePoint]] = []
        var checkpoints: [StoredCheckpoint] = []
        var summaries: [SessionSummary] = []
    }

    private func seen(_ store: SQLiteStore) async throws -> Seen {
        var seen = Seen()
        for session in RandomHistory.sessions {
            let id = make(session: session)
            guard let loaded = try? await store.load(id) else { continue }
            seen.sessions.append(loaded)
            seen.traces.append(try await store.trace(id, from: 1, limit: 1000))
            let checkpoints = try await store.checkpoints(id, pageSize: 100, after: nil).items
            for checkpoint in checkpoints {
                let stored = try await store.load(id, checkpoint: checkpoint.number)
                seen.checkpoints.append(stored)
            }
        }
        seen.summaries = try await store.list(pageSize: 10, after: nil, label: nil).items
        return seen
    }

    @Test(
        "What is whole comes back as it was",
        arguments: [StoreKind.sqlite, .segments, .staged], [UInt64(1), 2, 3])
    func whole(_ kind: StoreKind, seed: UInt64) async throws {
        try await withDirectory { root in
            try FileManager.default.createDirectory(
                atPath: root, withIntermediateDirectories: true)
            let live = root + "/live"
            let closes = seed != 2
            let store = try await populate(live, kind, seed: seed, closes: closes)
            try copy(live, to: root + "/old")
            let damaged = try InspectedStore(root + "/old")
            #expect(try StoreVerifier.verify(damaged).findings == [])
            let made = try await SQLiteStore(directory: root + "/new", limits: kind.limits)
            try await made.succeed(damaged)
            for id in try damaged.sessions() {
                let session = try damaged.salvage(id) { stretch, _ in replay(stretch) }
                #expect(session.lost == [])
                try await made.adopt(session, from: damaged)
            }
            if closes {
                let again = try await SQLiteStore(directory: live, limits: kind.limits)
                #expect(try await seen(made) == seen(again))
                await again.close()
            } else {
                #expect(try await seen(made) == seen(store))
                await store.close()
            }
            #expect(try await made.inconsistencies() == [])
            await made.close()
            #expect(try StoreVerifier.verify(InspectedStore(root + "/new")).findings == [])
        }
    }

    @Test("What comes after the last entry that replays is cut off, and numbers go on from there")
    func cut() async throws {
        try await withDirectory { root in
            try FileManager.default.createDirectory(
                atPath: root, withIntermediateDirectories: true)
            let old = try await SQLiteStore(directory: root + "/old")
            let id = make(session: 1)
            try await old.create(1)
            for sequence in 2...9 {
                try await old.commit(
                    batch(make(told: sequence, at: sequence)) {
                        if sequence == 4 || sequence == 7 {
                            $0.checkpoint = make(checkpoint: sequence == 4 ? 1 : 2, at: sequence)
                        }
                    }, to: id)
            }
            let before = try await old.load(id)
            await old.close()
            let damaged = try InspectedStore(root + "/old")
            let session = try damaged.salvage(id) { stretch, _ in replay(stretch, through: 5) }
            #expect(session.reached == 5 && session.newestKnown == 9)
            #expect(session.lost == ["entries 6...9", "checkpoint 2"])
            let new = try await SQLiteStore(directory: root + "/new")
            try await new.succeed(damaged)
            try await new.adopt(session, from: damaged)
            let after = try await new.load(id)
            #expect(after.tail == Array(before.tail.prefix(4)))
            #expect(after.snapshot.vectors == before.snapshot.vectors)
            #expect(after.nextCheckpoint == 3)
            #expect(try await new.checkpoints(id, pageSize: 9, after: nil).items.count == 1)
            #expect(try await new.trace(id, from: 1, limit: 99).count == 4)
            try await new.commit(batch(make(told: 6, at: 6)), to: id)
            try await new.create(2)
            await new.close()
            #expect(try StoreVerifier.verify(InspectedStore(root + "/new")).findings == [])
        }
    }

    @Test("A store that is open can be neither verified nor salvaged")
    func inUse() async throws {
        try await withDirectory { directory in
            let store = try await SQLiteStore(directory: directory)
            #expect(throws: StoreError.self) { try InspectedStore(directory) }
            await store.close()
            #expect(throws: Never.self) { try InspectedStore(directory) }
        }
    }
}
