import Sessions
import Testing

/// Many writers at once, and random histories against the simplest store.
extension StoreContract {
    @Test(
        "Writers of different sessions share the store without disturbing one another",
        arguments: StoreKind.allCases)
    func concurrent(_ kind: StoreKind) async throws {
        try await kind.withStore { store in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 1...24 {
                    group.addTask {
                        let id = make(session: number)
                        try await store.create(number)
                        for sequence in 2...9 {
                            try await store.commit(
                                batch(make(told: sequence - 1, at: sequence)), to: id)
                            // One of each pair fails, after all of it has been written.
                            let failing = batch(make(told: sequence, at: sequence + 1)) {
                                $0.removedCheckpoint = 9
                            }
                            _ = try? await store.commit(failing, to: id)
                        }
                        #expect(try await store.load(id).newest.sequence == 9)
                    }
                }
                try await group.waitForAll()
            }
            let held = try await store.inventory()
            #expect(held.sessions == 24 && held.entries == 24 * 9 && held.payloads == 24 * 8)
        }
    }

    @Test("Two writers of one session can't interleave", arguments: StoreKind.allCases)
    func raced(_ kind: StoreKind) async throws {
        try await kind.withStore { store in
            let id = make(session: 1)
            try await store.create(1)
            let accepted = await withTaskGroup(of: Bool.self) { group in
                for writer in 1...16 {
                    group.addTask {
                        let entry = make(told: writer, at: 2)
                        return (try? await store.commit(batch(entry), to: id)) != nil
                    }
                }
                return await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
            }
            #expect(accepted == 1)
            #expect(try await store.load(id).tail.count == 1)
        }
    }

    @Test(
        "A random history leaves what it leaves in memory",
        arguments: [StoreKind.sqlite, .segments, .staged], 1...6)
    func random(_ kind: StoreKind, seed: Int) async throws {
        try await kind.withStore(tracePointsMax: 9) { store in
            let model = MemoryStore(tracePointsMax: 9)
            var history = RandomHistory(seed: UInt64(seed))
            for step in 1...150 {
                let change = history.next()
                let expected = await change.apply(to: model)
                let got = await change.apply(to: store)
                #expect(got == expected, "seed \(seed), step \(step): \(change)")
                let id = make(session: change.session)
                let wanted = await unnumbered(try? model.load(id))
                #expect(
                    await unnumbered(try? store.load(id)) == wanted, "seed \(seed), step \(step)")
                #expect(
                    await (try? store.trace(id, from: 0, limit: 999))
                        == (try? model.trace(id, from: 0, limit: 999)),
                    "seed \(seed), step \(step)")
                let bytes = await (try? store.diskBytes(id), try? model.diskBytes(id))
                #expect(bytes.0 == bytes.1, "seed \(seed), step \(step)")
            }
            var held = try await store.inventory()
            #expect(held.segmentFiles <= held.vectors * 2 + held.payloads + held.snapshots + 1)
            held.segmentBytesLive = 0
            held.segmentFiles = 0
            #expect(held == (await model.inventory()), "seed \(seed)")
        }
    }
}

/// Without the vectors' identifiers, which differ between stores.
private func unnumbered(_ session: StoredSession?) -> StoredSession? {
    var session = session
    for name in session?.snapshot.vectors.keys.sorted() ?? [] {
        session?.snapshot.vectors[name]?.id = 0
    }
    return session
}
