import Sessions
import Testing

/// The contract of every store; see `Store`. Its parts are in the other files of this folder.
@Suite struct StoreContract {
    @Test("A session that was created is loaded as it was", arguments: StoreKind.allCases)
    func created(_ kind: StoreKind) async throws {
        try await kind.withStore { store in
            let id = make(session: 1)
            let record = make(
                record: id, name: "pinn-42", labels: ["team": "flow", "ü": "\u{1F600}"],
                origin: Origin(session: "s0", checkpoint: 3))
            let entry = make(entry: 1)
            let vectors = try await store.create(
                record, entry: entry,
                snapshot: make(snapshot: 1, [("x", .new([1, 2])), ("g", .new([]))]),
                idempotency: nil)
            let loaded = try await store.load(id)
            #expect(loaded.record == record)
            #expect(loaded.tail == [])
            #expect(loaded.newest == entry)
            #expect(loaded.lastStep == nil)
            #expect(loaded.nextCheckpoint == 1)
            #expect(loaded.snapshot.scalars == [9, 8, 7])
            #expect(loaded.snapshot.numericsVersion == 7)
            #expect(loaded.snapshot.vectors.mapValues(\.octets) == ["x": [1, 2], "g": []])
            #expect(loaded.snapshot.vectors.mapValues(\.id) == vectors)
            #expect(try await store.sessionCount() == 1)
        }
    }

    @Test("An identifier is given to one session only", arguments: StoreKind.allCases)
    func existing(_ kind: StoreKind) async throws {
        try await kind.withStore { store in
            try await store.create(1)
            await expectError(.exists) { try await store.create(1) }
            #expect(try await store.sessionCount() == 1)
            #expect(try await store.inventory().vectors == 1)
        }
    }

    @Test(
        "Entries come back in order, with payloads, after the snapshot",
        arguments: StoreKind.allCases)
    func tail(_ kind: StoreKind) async throws {
        try await kind.withStore { store in
            let id = make(session: 1)
            try await store.create(1)
            let entries = [make(entry: 2, .stepBegun), make(told: 1, at: 3), make(told: 2, at: 4)]
            try await store.commit(batch(entries[0], entries[1]), to: id)
            try await store.commit(batch(entries[2]), to: id)
            let loaded = try await store.load(id)
            #expect(loaded.tail == entries)
            #expect(loaded.newest == entries[2])
        }
    }

    @Test("Every kind of entry and every field survives", arguments: StoreKind.allCases)
    func kinds(_ kind: StoreKind) async throws {
        try await kind.withStore { store in
            let id = make(session: 1)
            try await store.create(1)
            var entries: [JournalEntry] = []
            for (index, kind) in JournalEntry.Kind.allCases.enumerated() {
                var entry = make(entry: index + 2, kind)
                entry.closedEvaluation = index.isMultiple(of: 2) ? index : nil
                entry.payload = make(bytes: index, index)
                entries.append(entry)
            }
            var change = Batch()
            change.entries = entries
            try await store.commit(change, to: id)
            #expect(try await store.load(id).tail == entries)
        }
    }

    @Test("A batch that doesn't follow the newest entry is refused", arguments: StoreKind.allCases)
    func outOfOrder(_ kind: StoreKind) async throws {
        try await kind.withStore { store in
            let id = make(session: 1)
            try await store.create(1)
            for wrong in [1, 3] {
                await expectError(.outOfOrder(expected: 2, got: wrong)) {
                    try await store.commit(batch(make(entry: wrong)), to: id)
                }
            }
            await expectError(.outOfOrder(expected: 3, got: 4)) {
                try await store.commit(batch(make(entry: 2), make(entry: 4)), to: id)
            }
            await expectError(.outOfOrder(expected: 2, got: 1)) {
                let stale = batch(make(entry: 2)) { $0.snapshot = make(snapshot: 1) }
                try await store.commit(stale, to: id)
            }
            await expectError(.outOfOrder(expected: 1, got: 2)) {
                let ahead = batch { $0.checkpoint = make(checkpoint: 1, at: 2) }
                try await store.commit(ahead, to: id)
            }
            #expect(try await store.load(id).newest.sequence == 1)
        }
    }

    @Test("A refused batch leaves nothing behind", arguments: StoreKind.allCases)
    func atomic(_ kind: StoreKind) async throws {
        try await kind.withStore { store in
            let id = make(session: 1)
            try await store.create(1)
            try await store.commit(
                batch(make(entry: 2)) { $0.idempotency = make(idempotency: "k", scope: "steps") },
                to: id)
            let before = try await (store.load(id), store.inventory(), store.summary(id))
            let whole = batch(make(told: 1, at: 3)) {
                $0.step = make(step: 1)
                $0.snapshot = make(snapshot: 3, [("x", .new(make(bytes: 40, 1)))])
                $0.checkpoint = make(checkpoint: 1, at: 3)
                $0.metadata = SessionMetadata(
                    name: "new", labels: ["a": "b"], version: 2, expiresAfter: .some(60))
            }
            var taken = whole
            taken.idempotency = make(idempotency: "k", scope: "steps")
            await expectError(.duplicateKey(make(idempotency: "k", scope: "steps"))) {
                try await store.commit(taken, to: id)
            }
            var dangling = whole
            dangling.snapshot = make(
                snapshot: 3, [("x", .new(make(bytes: 40, 1))), ("g", .stored(999))])
            await expectError(.missing) { try await store.commit(dangling, to: id) }
            var removing = whole
            removing.removedCheckpoint = 9
            await expectError(.missing) { try await store.commit(removing, to: id) }
            let after = try await (store.load(id), store.inventory(), store.summary(id))
            #expect(before.0 == after.0)
            #expect(before.1.vectors == after.1.vectors)
            #expect(before.1.entries == after.1.entries)
            #expect(before.2 == after.2)
            #expect(try await store.step(id, number: 1) == nil)
            try await store.commit(whole, to: id)
            #expect(try await store.load(id).record.labels == ["a": "b"])
            #expect(try await store.load(id).record.expiresAfter == 60)
        }
    }

    @Test("What isn't there is missing", arguments: StoreKind.allCases)
    func missing(_ kind: StoreKind) async throws {
        try await kind.withStore { store in
            let id = make(session: 1)
            await expectError(.missing) { _ = try await store.load(id) }
            await expectError(.missing) { try await store.commit(batch(make(entry: 2)), to: id) }
            await expectError(.missing) { try await store.delete(id) }
            await expectError(.missing) { _ = try await store.summary(id) }
            await expectError(.missing) { _ = try await store.step(id, number: 1) }
            await expectError(.missing) { _ = try await store.toldEntry(id, evaluation: 1) }
            await expectError(.missing) { _ = try await store.trace(id, from: 1, limit: 1) }
            await expectError(.missing) {
                _ = try await store.checkpoints(id, pageSize: 1, after: nil)
            }
            try await store.create(1)
            await expectError(.missing) { _ = try await store.load(id, checkpoint: 1) }
            #expect(try await store.step(id, number: 1) == nil)
            #expect(try await store.toldEntry(id, evaluation: 1) == nil)
        }
    }

    @Test("A deleted session leaves nothing behind", arguments: StoreKind.allCases)
    func deleted(_ kind: StoreKind) async throws {
        try await kind.withStore { store in
            let id = make(session: 1)
            try await store.create(1, labels: ["a": "b"])
            try await store.commit(
                batch(make(told: 1, at: 2)) {
                    $0.checkpoint = make(checkpoint: 1, at: 2)
                    $0.step = make(step: 1)
                }, to: id)
            try await store.commit(
                batch(make(told: 2, at: 3)) { $0.snapshot = make(snapshot: 3) }, to: id)
            try await store.commit(batch(make(told: 3, at: 4)), to: id)
            try await store.delete(id)
            let left = try await store.inventory()
            #expect(left.sessions == 0 && left.entries == 0 && left.payloads == 0)
            #expect(left.snapshots == 0 && left.vectors == 0 && left.segmentBytesLive == 0)
            #expect(left.segmentFiles <= 1)
            #expect(try await store.sessionCount() == 0)
            await expectError(.missing) { _ = try await store.load(id) }
            try await store.create(1)
            #expect(try await store.load(id).nextCheckpoint == 1)
        }
    }

    @Test("A closed store refuses everything", arguments: StoreKind.allCases)
    func closed(_ kind: StoreKind) async throws {
        try await kind.withStore { store in
            try await store.create(1)
            try await store.probe()
            await store.close()
            await store.close()
            await expectError(.closed) { try await store.create(2) }
            await expectError(.closed) { try await store.probe() }
            await expectError(.closed) { _ = try await store.load(make(session: 1)) }
            await expectError(.closed) { _ = try await store.sessionCount() }
        }
    }
}
