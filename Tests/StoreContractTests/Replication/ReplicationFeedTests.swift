import DiskLog
import Foundation
import SQLiteStore
import Sessions
import Testing

/// What the primary promises its standby, and with its standby's help.
@Suite struct ReplicationFeedTests {
    private func withPrimary(
        _ configuration: ReplicationConfiguration = .make(),
        _ body: (SQLiteStore, String) async throws -> Void
    ) async throws {
        try await withDirectory { directory in
            let store = try await SQLiteStore(
                directory: directory, limits: StoreKind.segments.limits,
                replication: configuration)
            try await body(store, directory)
            await store.close()
        }
    }

    private func expect(
        _ expected: ReplicationError, sourceLocation: SourceLocation = #_sourceLocation,
        _ body: () async throws -> Void
    ) async {
        do {
            try await body()
            Issue.record("expected \(expected)", sourceLocation: sourceLocation)
        } catch {
            #expect(error as? ReplicationError == expected, sourceLocation: sourceLocation)
        }
    }

    private func take(
        _ store: SQLiteStore, after number: Int, standby: String = "a", feed: String? = nil,
        waitSeconds: Double = 0
    ) async throws -> [NumberedChange] {
        let bytes = try await store.changes(
            after: number, of: feed ?? store.replicationStatus.feed, standby: standby, term: 1,
            isCopying: false, waitSeconds: waitSeconds)
        return try #require(NumberedChange.decode(bytes))
    }

    @Test("Nothing is kept before a standby comes, and all is from then on")
    func kept() async throws {
        try await withPrimary { store, _ in
            try await store.create(1)
            #expect(store.replicationStatus.change == 0)
            await expect(.gone) { _ = try await take(store, after: 0) }
            let status = try await store.beginBase(standby: "a", term: 1)
            let first = try #require(status.standby?.acknowledged)
            try await store.commit(batch(make(told: 1, at: 2)), to: make(session: 1))
            try await store.create(2)
            let changes = try await take(store, after: first)
            #expect(changes.map(\.number) == Array(first + 1...store.replicationStatus.change))
            #expect(
                changes.contains { change in
                    if case .log = change.change { true } else { false }
                })
            #expect(
                changes.contains { change in
                    if case .tables = change.change { true } else { false }
                })
            #expect(store.replicationStatus.standby?.acknowledged == first)
            #expect(try await take(store, after: store.replicationStatus.change).isEmpty)
            #expect(store.replicationStatus.standby?.isInSync == true)
            // Those that are acknowledged can be asked for again.
            #expect(try await take(store, after: first) == changes)
            await expect(.gone) {
                _ = try await take(store, after: store.replicationStatus.change + 1)
            }
            await expect(.gone) { _ = try await take(store, after: first, feed: "other") }
            await expect(.otherStandby("a")) {
                _ = try await take(store, after: first, standby: "b")
            }
            await expect(.otherStandby("a")) {
                _ = try await store.beginBase(standby: "b", term: 1)
            }
        }
    }

    @Test("A standby that is further behind than the buffer holds has to begin anew")
    func lost() async throws {
        try await withPrimary(.make(bufferBytesMax: 64 << 10)) { store, _ in
            try await store.create(1)
            let status = try await store.beginBase(standby: "a", term: 1)
            let first = try #require(status.standby?.acknowledged)
            for number in 1...40 {
                try await store.commit(
                    batch(make(told: number, at: number + 1, payload: make(bytes: 4000, number))),
                    to: make(session: 1))
            }
            #expect(store.replicationStatus.standby == nil)
            await expect(.gone) { _ = try await take(store, after: first) }
        }
    }

    @Test("A poll returns when there is a change")
    func poll() async throws {
        try await withPrimary { store, _ in
            try await store.create(1)
            let first = try await store.beginBase(standby: "a", term: 1)
            let number = first.change
            async let polled = take(store, after: number, waitSeconds: 20)
            try await Task.sleep(for: .milliseconds(50))
            try await store.commit(batch(make(told: 1, at: 2)), to: make(session: 1))
            let changes = try await polled
            #expect(!changes.isEmpty)
            let began = ContinuousClock.now
            let none = try await take(
                store, after: store.replicationStatus.change, waitSeconds: 0.1)
            #expect(none.isEmpty && ContinuousClock.now - began < .seconds(10))
        }
    }

    @Test("A synchronous primary confirms what the standby has acknowledged, and nothing else")
    func synchronous() async throws {
        try await withPrimary(.make(.synchronous, timeoutSeconds: 0.3)) { store, _ in
            #expect(store.writeRefusal == .standbyMissing(seconds: 0))
            await expect(.unacknowledged(seconds: 0)) { try await store.confirm() }
            let status = try await store.beginBase(standby: "a", term: 1)
            // A copy that is being made can't take the primary's place.
            _ = try await store.changes(
                after: status.change, of: status.feed, standby: "a", term: 1, isCopying: true,
                waitSeconds: 0)
            #expect(store.writeRefusal != nil)
            #expect(try await take(store, after: status.change).isEmpty)
            #expect(store.writeRefusal == nil)
            try await store.create(1)
            async let confirmed: Void = store.confirm()
            try await Task.sleep(for: .milliseconds(50))
            _ = try await take(store, after: store.replicationStatus.change)
            try await confirmed
            // It is silent from now on.
            try await store.create(2)
            let unconfirmed = Task { try await store.confirm() }
            try await Task.sleep(for: .milliseconds(400))
            store.checkStandby()
            await expect(.unacknowledged(seconds: 0)) { try await unconfirmed.value }
            #expect(store.writeRefusal == .standbyMissing(seconds: 0))
            _ = try await take(store, after: store.replicationStatus.change)
            #expect(store.writeRefusal == nil)
            try await store.confirm()
        }
    }

    @Test("A primary that may go on alone does so")
    func alone() async throws {
        let configuration = ReplicationConfiguration.make(
            .synchronous, timeoutSeconds: 0.2, continuesAlone: true)
        try await withPrimary(configuration) { store, _ in
            #expect(store.writeRefusal == nil)
            try await store.create(1)
            try await store.confirm()
            let status = try await store.beginBase(standby: "a", term: 1)
            _ = try await take(store, after: status.change)
            try await store.create(2)
            async let confirmed: Void = store.confirm()
            try await Task.sleep(for: .milliseconds(300))
            store.checkStandby()
            try await confirmed
        }
    }

    @Test("A fenced store takes no writes, even when it is opened again")
    func fenced() async throws {
        try await withPrimary { store, directory in
            try await store.create(1)
            try await store.fence(term: 1)
            try await store.create(2)
            try await store.fence(term: 3)
            await expectError(.fenced(term: 3)) { try await store.create(4) }
            await expectError(.fenced(term: 3)) {
                try await store.commit(batch(make(told: 1, at: 2)), to: make(session: 1))
            }
            await expectError(.fenced(term: 3)) { try await store.delete(make(session: 1)) }
            #expect(store.writeRefusal == .fenced(term: 3))
            _ = try await store.load(make(session: 2))
            await store.close()
            let again = try await SQLiteStore(directory: directory)
            #expect(again.replicationStatus.isFenced && again.replicationStatus.term == 3)
            await expectError(.fenced(term: 3)) { try await again.create(4) }
            _ = try await again.load(make(session: 2))
            await again.close()
        }
    }

    @Test("A standby that knows of a later term fences the store that it asks")
    func fencedByStandby() async throws {
        try await withPrimary { store, _ in
            let status = try await store.beginBase(standby: "a", term: 2)
            #expect(status.isFenced && status.term == 2)
        }
    }

    @Test("Segments that the standby may need stay until it has acknowledged their removal")
    func deferredRemoval() async throws {
        try await withDirectory { directory in
            let store = try await SQLiteStore(
                directory: directory, limits: StoreKind.staged.limits, replication: .make())
            func segments() throws -> Int {
                try FileManager.default.contentsOfDirectory(atPath: directory + "/segments").count
            }
            let status = try await store.beginBase(standby: "a", term: 1)
            _ = try await take(store, after: status.change)
            try await store.create(1, [("x", .new(make(bytes: 4000, 1)))])
            let before = try segments()
            try await store.delete(make(session: 1))
            store.waitForRemovals()
            #expect(try segments() == before)
            _ = try await take(store, after: store.replicationStatus.change)
            store.waitForRemovals()
            #expect(try segments() < before)
            await store.close()
        }
    }

    // MARK: The form of changes

    private var examples: [NumberedChange] {
        [
            NumberedChange(
                number: 7, microseconds: -5,
                change: .log(LogAppend(epoch: 3, file: 1, offset: 4096, bytes: [1, 2, 3]))),
            NumberedChange(
                number: 8, microseconds: .max,
                change: .tables(
                    ReplicatedChange.TablesAppend(
                        header: Array(0..<32), offset: 32, frames: [9, 9],
                        growths: [
                            ReplicatedChange.SegmentGrowth(
                                extent: Extent(segment: -4, range: 0..<9), bytes: []),
                            ReplicatedChange.SegmentGrowth(
                                extent: Extent(segment: 2, range: 5..<7), bytes: [1, 2]),
                        ],
                        removed: [-1, 1], holes: [Extent(segment: 2, range: 0..<4096)]))),
        ]
    }

    private var encoded: [UInt8] {
        examples.flatMap {
            NumberedChange.encode(
                $0.change.encoded, number: $0.number, microseconds: $0.microseconds)
        }
    }

    @Test("Changes are read as they were written")
    func codec() {
        #expect(NumberedChange.decode(encoded) == examples)
        #expect(NumberedChange.decode([])?.isEmpty == true)
    }

    @Test("Changes that were cut off or damaged are refused")
    func damaged() throws {
        let one = examples[1]
        let bytes = NumberedChange.encode(
            one.change.encoded, number: one.number, microseconds: one.microseconds)
        for count in 1..<bytes.count {
            #expect(NumberedChange.decode(Array(bytes[..<count])) == nil)
        }
        for index in bytes.indices {
            var wrong = bytes
            wrong[index] ^= 0x10
            #expect(NumberedChange.decode(wrong) == nil, "byte \(index)")
        }
        for example in examples {
            let change = example.change.encoded
            for count in change.indices { #expect(ReplicatedChange(change[..<count]) == nil) }
            #expect(ReplicatedChange((change + [0])[...]) == nil)
        }
    }
}
