import Dispatch
import Foundation
import SQLiteStore
import Sessions
import TestKit
import Testing

/// A standby's directory holds what the primary had, and opens as a store.
@Suite struct StandbyTests {
    private func states(
        of store: SQLiteStore
    ) async throws -> [Result<StoredSession, StoreError>] {
        var states: [Result<StoredSession, StoreError>] = []
        for number in RandomHistory.sessions {
            let id = make(session: number)
            do throws(StoreError) {
                states.append(.success(try await store.load(id)))
            } catch {
                states.append(.failure(error))
            }
        }
        return states
    }

    private func expectSame(
        _ follower: Follower, as store: SQLiteStore, in place: String
    ) async throws {
        let promoted = try await follower.promoted(in: place)
        let expected = try await states(of: store)
        #expect(try await states(of: promoted) == expected)
        #expect(try await promoted.inconsistencies() == [])
        // It takes writes.
        try await promoted.create(999)
        await promoted.close()
    }

    @Test(
        "Whatever happens on the primary, the copy is that store",
        arguments: [StoreKind.sqlite, .segments, .staged], [1, 2, 3])
    func randomHistory(_ kind: StoreKind, seed: UInt64) async throws {
        try await withDirectory { directory in
            var limits = kind.limits
            limits.walPagesBeforeCheckpoint = 64
            limits.logFileBytesMax = 4096
            var generator = SeededGenerator(seed: seed)
            var history = RandomHistory(seed: seed)
            let store = try await SQLiteStore(
                directory: directory + "/primary", limits: limits, replication: .make())
            let primary = LocalPrimary(store)
            let follower = Follower(directory + "/standby")
            for round in 0..<25 {
                for _ in 0..<Int.random(in: 0...30, using: &generator) {
                    _ = await history.next().apply(to: store)
                }
                try await follower.catchUp(primary)
                switch Int.random(in: 0..<6, using: &generator) {
                case 0: follower.forget()
                case 1: _ = try await store.inventory()
                case 2:
                    try await expectSame(follower, as: store, in: directory + "/\(round)")
                default: break
                }
            }
            try await expectSame(follower, as: store, in: directory + "/end")
            #expect(primary.copies == 1)
            await store.close()
        }
    }

    @Test("The primary may change while it is copied")
    func busyCopy() async throws {
        try await withDirectory { directory in
            var limits = StoreKind.staged.limits
            limits.walPagesBeforeCheckpoint = 16
            let store = try await SQLiteStore(
                directory: directory + "/primary", limits: limits, replication: .make())
            var history = RandomHistory(seed: 7)
            for _ in 0..<200 { _ = await history.next().apply(to: store) }
            let primary = LocalPrimary(store)
            let changes = BusyHistory(history, store)
            primary.beforePart = { changes.applySome() }
            let follower = Follower(directory + "/standby")
            try await follower.catchUp(primary)
            primary.beforePart = nil
            try await follower.catchUp(primary)
            try await expectSame(follower, as: store, in: directory + "/end")
            await store.close()
        }
    }

    @Test("A copy that is made anew fetches only what has changed")
    func incremental() async throws {
        try await withDirectory { directory in
            let limits = StoreKind.staged.limits
            var store = try await SQLiteStore(
                directory: directory + "/primary", limits: limits, replication: .make())
            for number in 1...3 {
                try await store.create(number, [("x", .new(make(bytes: 3000, number)))])
            }
            let follower = Follower(directory + "/standby")
            var primary = LocalPrimary(store)
            try await follower.catchUp(primary)
            let first = primary.partsSent
            await store.close()
            store = try await SQLiteStore(
                directory: directory + "/primary", limits: limits, replication: .make())
            primary = LocalPrimary(store)
            try await follower.catchUp(primary)
            #expect(primary.copies == 1)
            #expect(primary.partsSent < first)
            try await expectSame(follower, as: store, in: directory + "/end")
            await store.close()
        }
    }

    @Test("A copy that was not completed leaves the former state usable")
    func interruptedCopy() async throws {
        try await withDirectory { directory in
            var store = try await SQLiteStore(
                directory: directory + "/primary", limits: StoreKind.staged.limits,
                replication: .make())
            try await store.create(1, [("x", .new(make(bytes: 3000, 1)))])
            let follower = Follower(directory + "/standby")
            try await follower.catchUp(LocalPrimary(store))
            let expected = try await states(of: store)
            await store.close()
            store = try await SQLiteStore(
                directory: directory + "/primary", limits: StoreKind.staged.limits,
                replication: .make())
            try await store.delete(make(session: 1))
            try await store.create(2, [("x", .new(make(bytes: 3000, 2)))])
            let primary = LocalPrimary(store)
            // The primary ends in the middle.
            primary.beforePart = { [store] in store.endReplication() }
            await #expect(throws: StandbyError.self) { try await follower.catchUp(primary) }
            follower.forget()
            let promoted = try await follower.promoted(in: directory + "/promoted")
            for (copy, original) in zip(try await states(of: promoted), expected) {
                #expect(copy == original, "\(copy), \(original)")
            }
            #expect(try await promoted.inconsistencies() == [])
            await promoted.close()
            await store.close()
        }
    }

    @Test("Changes that are applied again do no harm")
    func repeated() async throws {
        try await withDirectory { directory in
            let store = try await SQLiteStore(
                directory: directory + "/primary", limits: StoreKind.segments.limits,
                replication: .make())
            let primary = LocalPrimary(store)
            let follower = Follower(directory + "/standby")
            try await store.create(1)
            try await follower.catchUp(primary)
            let position = directory + "/standby/position"
            let former = try Data(contentsOf: URL(filePath: position))
            for number in 1...20 {
                try await store.commit(
                    batch(make(told: number, at: number + 1)), to: make(session: 1))
            }
            try await store.create(2, [("x", .new(make(bytes: 40, 2)))])
            try await follower.catchUp(primary)
            follower.forget()
            // A power loss has kept the files, and not the position.
            try former.write(to: URL(filePath: position))
            try await follower.catchUp(primary)
            try await expectSame(follower, as: store, in: directory + "/end")
            #expect(primary.copies == 1)
            await store.close()
        }
    }

    @Test("A position that was torn makes a new copy")
    func tornPosition() async throws {
        try await withDirectory { directory in
            let store = try await SQLiteStore(
                directory: directory + "/primary", limits: StoreKind.segments.limits,
                replication: .make())
            try await store.create(1)
            let primary = LocalPrimary(store)
            let follower = Follower(directory + "/standby")
            try await follower.catchUp(primary)
            follower.forget()
            let position = URL(filePath: directory + "/standby/position")
            var bytes = try Data(contentsOf: position)
            bytes[bytes.startIndex] ^= 1
            try bytes.write(to: position)
            try await follower.catchUp(primary)
            #expect(primary.copies == 2)
            try await expectSame(follower, as: store, in: directory + "/end")
            await store.close()
        }
    }

    @Test("A standby's directory is no store, and a store is no standby's directory")
    func roles() async throws {
        try await withDirectory { directory in
            let store = try await SQLiteStore(
                directory: directory + "/primary", limits: SQLiteStoreLimits(),
                replication: .make())
            let follower = Follower(directory + "/standby")
            try await follower.catchUp(LocalPrimary(store))
            await store.close()
            follower.forget()
            let path = directory + "/standby"
            await expectError(
                .incompatible(
                    "\(path) is the standby of http://primary: `lbfgsd promote` makes it a store "
                        + "of its own")
            ) { _ = try await SQLiteStore(directory: path) }
            #expect(throws: StoreError.exists) {
                _ = try Standby(directory + "/primary", following: "http://other")
            }
            #expect(throws: StoreError.exists) {
                _ = try Standby(directory + "/none", following: nil)
            }
            let role = URL(filePath: path + "/replication")
            var bytes = try Data(contentsOf: role)
            for index in bytes.indices {
                bytes[index] ^= 4
                try bytes.write(to: role)
                #expect(throws: StoreError.self) { _ = try ReplicationRole.read(in: path) }
                bytes[index] ^= 4
            }
        }
    }
}

/// A history that goes on while something else runs.
private final class BusyHistory: @unchecked Sendable {
    private var history: RandomHistory
    private let store: SQLiteStore

    init(_ history: RandomHistory, _ store: SQLiteStore) {
        self.history = history
        self.store = store
    }

    func applySome() {
        let done = DispatchSemaphore(value: 0)
        Task.detached { [self] in
            for _ in 0..<20 { _ = await history.next().apply(to: store) }
            done.signal()
        }
        done.wait()
    }
}
