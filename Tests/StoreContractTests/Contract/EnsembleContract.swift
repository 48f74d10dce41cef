import Foundation
import Sessions
import Testing

private func make(ensemble number: Int, tenant: String = "default") -> EnsembleRecord {
    var generator = SeededGenerator(seed: UInt64(number))
    var specification = EnsembleSpecification(
        parameters: [ParameterSpec(name: "w", shape: [2])], count: 3,
        starts: .sobol(seed: 7, skip: 2))
    specification.name = "fit"
    specification.labels = ["a": "b"]
    specification.box = SamplingBox(lower: [-1, -.infinity], upper: [0.1])
    specification.stop = EnsembleStopRule(target: -0.0, evaluations: 1000)
    specification.stagnation = StagnationRule(evaluations: 50, tolerance: 1e-300)
    specification.basin = BasinRule(distance: 0.25, loss: 1e-6)
    specification.expiresAfter = 60
    return EnsembleRecord(
        id: .random(using: &generator), tenant: tenant, specification: specification,
        createdAt: make(time: number))
}

private func make(members numbers: [Int]) -> [NewSession] {
    numbers.map { number in
        NewSession(
            record: make(
                record: make(session: number)),
            entry: make(entry: 1),
            snapshot: make(snapshot: 1, [("x", .new([1, 2, 3, 4]))]))
    }
}

/// Ensembles and their members.
extension StoreContract {
    @Test("An ensemble is created with its members, and read back", arguments: StoreKind.allCases)
    func ensembleCreated(_ kind: StoreKind) async throws {
        try await kind.withStore { store in
            let record = make(ensemble: 1)
            try await store.create(
                record, members: make(members: [1, 2, 3]), idempotency: make(idempotency: "k"))
            #expect(try await store.ensemble(record.id) == record)
            let members = try await store.members(of: record.id)
            #expect(members.map(\.number) == [0, 1, 2])
            #expect(members.map(\.session) == [1, 2, 3].map(make(session:)))
            #expect(members.allSatisfy { $0.abandonment == nil && $0.lastStep == nil })
            for member in members {
                #expect(member.summary == (try await store.summary(member.session)))
            }
            #expect(try await store.sessionCount() == 3)
            #expect(try await store.idempotencyRecord(scope: "sessions", key: "k") != nil)
            #expect(try await store.inventory().snapshots == 3)
        }
    }

    @Test("A refused ensemble leaves nothing behind", arguments: StoreKind.allCases)
    func ensembleRefused(_ kind: StoreKind) async throws {
        try await kind.withStore { store in
            try await store.create(2)
            let record = make(ensemble: 1)
            await expectError(.exists) {
                try await store.create(
                    record, members: make(members: [1, 2, 3]), idempotency: nil)
            }
            await expectError(.missing) { _ = try await store.ensemble(record.id) }
            await expectError(.missing) { _ = try await store.members(of: record.id) }
            #expect(try await store.sessionCount() == 1)
            #expect(try await store.ensembleCount(of: "default") == 0)
        }
    }

    @Test("Members show what was committed to their sessions", arguments: StoreKind.allCases)
    func ensembleProgress(_ kind: StoreKind) async throws {
        try await kind.withStore { store in
            let record = make(ensemble: 1)
            try await store.create(record, members: make(members: [1, 2]), idempotency: nil)
            try await store.commit(batch(make(told: 1, at: 2, loss: -3)), to: make(session: 2))
            try await store.commit(
                batch(make(entry: 3, .stopped)) { $0.step = make(step: 1) }, to: make(session: 2))
            let member = try await store.members(of: record.id)[1]
            #expect(member.summary?.sequence == 3 && member.lastStep == make(step: 1))
            let abandonment = Abandonment(.sameBasin, step: 1, other: 0)
            try await store.abandon(1, of: record.id, abandonment)
            try await store.abandon(7, of: record.id, abandonment)
            let marks = try await store.members(of: record.id).map(\.abandonment)
            #expect(marks == [nil, abandonment])
            let outcome = EnsembleOutcome(.target, at: make(time: 9))
            try await store.finish(record.id, outcome)
            #expect(try await store.ensemble(record.id).outcome == outcome)
        }
    }

    @Test(
        "A deleted session is no member any more, and the last one takes its ensemble with it",
        arguments: StoreKind.allCases)
    func ensembleMembersDeleted(_ kind: StoreKind) async throws {
        try await kind.withStore { store in
            let record = make(ensemble: 1)
            try await store.create(record, members: make(members: [1, 2, 3]), idempotency: nil)
            try await store.delete(make(session: 2))
            #expect(try await store.members(of: record.id).map(\.number) == [0, 2])
            try await store.delete(make(session: 1))
            try await store.delete(make(session: 3))
            await expectError(.missing) { _ = try await store.ensemble(record.id) }
            #expect(try await store.inventory().sessions == 0)

            let other = make(ensemble: 2)
            try await store.create(other, members: make(members: [4, 5]), idempotency: nil)
            try await store.delete(other.id)
            await expectError(.missing) { _ = try await store.ensemble(other.id) }
            await expectError(.missing) { try await store.delete(other.id) }
            #expect(try await store.sessionCount() == 2)
            try await store.delete(make(session: 4))
        }
    }

    @Test("Ensembles are listed newest first, a tenant's own", arguments: StoreKind.allCases)
    func ensemblesListed(_ kind: StoreKind) async throws {
        try await kind.withStore { store in
            for number in 1...5 {
                try await store.create(
                    make(ensemble: number, tenant: number == 3 ? "other" : "default"),
                    members: make(members: [number]), idempotency: nil)
            }
            let first = try await store.ensembles(pageSize: 2, after: nil, tenant: "default")
            #expect(first.items.map(\.id) == [5, 4].map { make(ensemble: $0).id })
            let rest = try await store.ensembles(
                pageSize: 2, after: first.next, tenant: "default")
            #expect(rest.items.map(\.id) == [2, 1].map { make(ensemble: $0).id })
            #expect(rest.next == nil)
            let all = try await store.ensembles(pageSize: 9, after: nil, tenant: nil)
            #expect(all.items.count == 5 && all.next == nil)
            #expect(try await store.ensembleCount(of: "default") == 4)
            #expect(try await store.ensembleCount(of: "other") == 1)
        }
    }
}
