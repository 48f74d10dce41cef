import Sessions
import Testing

/// What is kept for replay, and what is collected.
extension StoreContract {
    @Test(
        "A new snapshot replaces the one before, and shares its vectors",
        arguments: StoreKind.allCases)
    func replaced(_ kind: StoreKind) async throws {
        try await kind.withStore { store in
            let id = make(session: 1)
            let first = try await store.create(
                1, [("x", .new([1, 1, 1])), ("s/1", .new([2, 2, 2]))])
            let kept = try #require(first["s/1"])
            try await store.commit(batch(make(told: 1, at: 2)), to: id)
            #expect(try await store.inventory().payloads == 1)
            let second = try await store.commit(
                batch(make(told: 2, at: 3)) {
                    $0.snapshot = make(
                        snapshot: 3, [("x", .new([3, 3, 3])), ("s/0", .stored(kept))])
                }, to: id)
            #expect(second["s/0"] == kept)
            #expect(second["x"] != first["x"])
            let loaded = try await store.load(id)
            #expect(loaded.snapshot.sequence == 3)
            #expect(loaded.tail == [])
            #expect(
                loaded.snapshot.vectors.mapValues(\.octets) == ["x": [3, 3, 3], "s/0": [2, 2, 2]])
            let held = try await store.inventory()
            #expect(held.snapshots == 1 && held.vectors == 2)
            #expect(held.entries == 2 && held.payloads == 0)
        }
    }

    @Test(
        "A checkpoint keeps what restoring it needs, and removing it frees that",
        arguments: StoreKind.allCases)
    func pinned(_ kind: StoreKind) async throws {
        try await kind.withStore { store in
            let id = make(session: 1)
            try await store.create(1, [("x", .new([1, 1, 1]))])
            let told = (2...6).map { make(told: $0 - 1, at: $0) }
            try await store.commit(batch(told[0], told[1]), to: id)
            try await store.commit(batch { $0.checkpoint = make(checkpoint: 1, at: 3) }, to: id)
            try await store.commit(
                batch(told[2]) { $0.checkpoint = make(checkpoint: 2, at: 4, name: "two") }, to: id)
            try await store.commit(batch(told[3]), to: id)
            try await store.commit(
                batch(told[4]) { $0.snapshot = make(snapshot: 6, [("x", .new([2, 2, 2]))]) },
                to: id)

            var held = try await store.inventory()
            #expect(held.snapshots == 2 && held.vectors == 2 && held.payloads == 3)
            let loaded = try await store.load(id, checkpoint: 2)
            #expect(loaded.record == make(checkpoint: 2, at: 4, name: "two"))
            #expect(loaded.snapshot.sequence == 1)
            #expect(loaded.snapshot.vectors["x"]?.octets == [1, 1, 1])
            #expect(loaded.tail == Array(told[0...2]))
            #expect(try await store.load(id, checkpoint: 1).tail == Array(told[0...1]))

            try await store.commit(batch { $0.removedCheckpoint = 2 }, to: id)
            held = try await store.inventory()
            #expect(held.snapshots == 2 && held.vectors == 2 && held.payloads == 2)
            #expect(try await store.load(id, checkpoint: 1).tail == Array(told[0...1]))
            try await store.commit(batch { $0.removedCheckpoint = 1 }, to: id)
            held = try await store.inventory()
            #expect(held.snapshots == 1 && held.vectors == 1 && held.payloads == 0)
            await expectError(.missing) {
                try await store.commit(batch { $0.removedCheckpoint = 1 }, to: id)
            }
            #expect(try await store.load(id).nextCheckpoint == 3)
            await expectError(.exists) {
                try await store.commit(
                    batch { $0.checkpoint = make(checkpoint: 2, at: 6) }, to: id)
            }
        }
    }

    @Test(
        "Removing a checkpoint above the newest snapshot keeps the tail",
        arguments: StoreKind.allCases)
    func tailStays(_ kind: StoreKind) async throws {
        try await kind.withStore { store in
            let id = make(session: 1)
            try await store.create(1)
            try await store.commit(
                batch(make(told: 1, at: 2)) { $0.checkpoint = make(checkpoint: 1, at: 2) }, to: id)
            try await store.commit(batch { $0.removedCheckpoint = 1 }, to: id)
            #expect(try await store.load(id).tail == [make(told: 1, at: 2)])
        }
    }

    @Test("A checkpoint at a snapshot needs no entries", arguments: StoreKind.allCases)
    func atSnapshot(_ kind: StoreKind) async throws {
        try await kind.withStore { store in
            let id = make(session: 1)
            try await store.create(1)
            try await store.commit(
                batch(make(told: 1, at: 2)) {
                    $0.snapshot = make(snapshot: 2, [("x", .new([5, 5, 5]))])
                    $0.checkpoint = make(checkpoint: 1, at: 2)
                }, to: id)
            // A second snapshot of the same state replaces the first.
            try await store.commit(
                batch { $0.snapshot = make(snapshot: 2, [("x", .new([6, 6, 6]))]) }, to: id)
            let held = try await store.inventory()
            #expect(held.snapshots == 1 && held.vectors == 1 && held.payloads == 0)
            let loaded = try await store.load(id, checkpoint: 1)
            #expect(loaded.tail == [])
            #expect(loaded.snapshot.vectors["x"]?.octets == [6, 6, 6])
        }
    }

    @Test("A restore names the checkpoint's vectors again", arguments: StoreKind.allCases)
    func restored(_ kind: StoreKind) async throws {
        try await kind.withStore { store in
            let id = make(session: 1)
            let first = try await store.create(1, [("x", .new([1, 1, 1]))])
            let x = try #require(first["x"])
            try await store.commit(batch { $0.checkpoint = make(checkpoint: 1, at: 1) }, to: id)
            try await store.commit(
                batch(make(told: 1, at: 2)) {
                    $0.snapshot = make(snapshot: 2, [("x", .new([2, 2, 2]))])
                }, to: id)
            try await store.commit(
                batch(make(entry: 3, .restored)) {
                    $0.snapshot = make(snapshot: 3, [("x", .stored(x)), ("best", .stored(x))])
                }, to: id)
            #expect(try await store.inventory().vectors == 1)
            try await store.commit(batch { $0.removedCheckpoint = 1 }, to: id)
            let held = try await store.inventory()
            #expect(held.snapshots == 1 && held.vectors == 1)
            let loaded = try await store.load(id).snapshot
            #expect(loaded.vectors["x"]?.octets == [1, 1, 1])
            #expect(loaded.vectors["best"]?.id == x)
        }
    }

    @Test(
        "A vector survives the session it came from while a fork names it",
        arguments: StoreKind.allCases)
    func forked(_ kind: StoreKind) async throws {
        try await kind.withStore { store in
            let parent = make(session: 1)
            let fork = make(session: 2)
            let bytes = make(bytes: 100, 1)
            let vectors = try await store.create(1, [("x", .new(bytes)), ("g", .new([0]))])
            let x = try #require(vectors["x"])
            try await store.create(2, [("x", .stored(x))])
            #expect(try await store.inventory().vectors == 2)
            try await store.delete(parent)
            #expect(try await store.inventory().vectors == 1)
            #expect(try await store.load(fork).snapshot.vectors["x"]?.octets == bytes)
            try await store.delete(fork)
            #expect(try await store.inventory().vectors == 0)
            await expectError(.missing) { try await store.create(3, [("x", .stored(x))]) }
            let fresh = try await store.create(3)
            #expect(fresh["x"] != x, "an identifier is never used twice")
        }
    }
}
