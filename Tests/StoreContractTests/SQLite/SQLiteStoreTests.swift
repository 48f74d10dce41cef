import Dispatch
import DiskLog
import Foundation
import SQLiteStore
import Sessions
import Synchronization
import Testing

/// What only a store on a disk promises.
@Suite struct SQLiteStoreTests {
    @Test("Everything is there after reopening", arguments: [StoreKind.sqlite, .segments])
    func reopened(_ kind: StoreKind) async throws {
        try await withDirectory { directory in
            let id = make(session: 1)
            var store = try await SQLiteStore(directory: directory, limits: kind.limits)
            try await store.create(1, labels: ["a": "b"], [("x", .new(make(bytes: 99, 1)))])
            try await store.commit(
                batch(make(told: 1, at: 2)) { $0.checkpoint = make(checkpoint: 1, at: 2) }, to: id)
            try await store.commit(
                batch(make(told: 2, at: 3, loss: .nan)) {
                    $0.snapshot = make(snapshot: 3, [("x", .new(make(bytes: 70, 2)))])
                    $0.step = make(step: 1)
                    $0.idempotency = make(idempotency: "k")
                }, to: id)
            try await store.commit(batch(make(told: 3, at: 4)), to: id)
            let before = try await (store.load(id), store.load(id, checkpoint: 1))
            let inventory = try await store.inventory()
            await store.close()

            store = try await SQLiteStore(directory: directory, limits: kind.limits)
            let after = try await (store.load(id), store.load(id, checkpoint: 1))
            #expect(before == after)
            #expect(try await store.inventory() == inventory)
            #expect(try await store.inconsistencies() == [])
            let told = try await store.toldEntry(id, evaluation: 2)
            #expect(told?.trace?.loss?.isNaN == true)
            let vectors = try await store.create(2, [("x", .new([1, 2, 3]))])
            let known = (before.0.snapshot.vectors.values.map(\.id)).max() ?? 0
            #expect(try #require(vectors["x"]) > known)
            await store.close()
        }
    }

    @Test("One process at a time has the store open")
    func locked() async throws {
        try await withDirectory { directory in
            let store = try await SQLiteStore(directory: directory)
            let inUse = "the store in \(directory) is in use by another process"
            await expectError(.inUse(inUse)) { _ = try await SQLiteStore(directory: directory) }
            try await store.probe()
            await store.close()
            await (try SQLiteStore(directory: directory)).close()
        }
    }

    /// The header's fields, by the file format: user_version at 60, application_id at 68.
    @Test(
        "A newer schema and another application's database are refused and left alone",
        arguments: [60, 68])
    func incompatible(offset: Int) async throws {
        try await withDirectory { directory in
            await (try SQLiteStore(directory: directory)).close()
            let path = directory + "/lbfgsd.sqlite"
            var file = try Data(contentsOf: URL(fileURLWithPath: path))
            file.replaceSubrange(offset..<offset + 4, with: [0, 1, 0, 0])
            try file.write(to: URL(fileURLWithPath: path))
            for _ in 1...2 {
                let error = await #expect(throws: StoreError.self) {
                    _ = try await SQLiteStore(directory: directory)
                }
                guard case .incompatible = error else {
                    Issue.record("\(String(describing: error)) isn't .incompatible")
                    return
                }
            }
            #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == file)
        }
    }

    @Test("A file that isn't a database is refused and left alone")
    func notADatabase() async throws {
        try await withDirectory { directory in
            try FileManager.default.createDirectory(
                atPath: directory, withIntermediateDirectories: true)
            let path = directory + "/lbfgsd.sqlite"
            let text = String(repeating: "Dear diary, ", count: 1000)
            try text.write(toFile: path, atomically: true, encoding: .utf8)
            await expectError(.incompatible("\(path) is not an SQLite database")) {
                _ = try await SQLiteStore(directory: directory)
            }
            #expect(try String(contentsOfFile: path, encoding: .utf8) == text)
        }
    }

    @Test("The database is set up to survive power loss")
    func settings() async throws {
        try await withDirectory { directory in
            let store = try await SQLiteStore(directory: directory)
            #expect(try await store.pragma("synchronous") == "2")
            #expect(try await store.pragma("journal_mode") == "wal")
            #expect(try await store.pragma("wal_autocheckpoint") == "0")
            #expect(try await store.pragma("auto_vacuum") == "2")
            #expect(try await store.pragma("mmap_size") == "0")
            #expect(try await store.pragma("foreign_keys") == "1")
            #expect(try await store.pragma("application_id") == "\(0x4C42_4647)")
            await store.close()
        }
    }

    @Test("Only the owner can read what the store writes")
    func modes() async throws {
        try await withDirectory { directory in
            let store = try await SQLiteStore(
                directory: directory + "/a/b", limits: StoreKind.segments.limits)
            try await store.create(1)
            let files = FileManager.default
            let names = try files.subpathsOfDirectory(atPath: directory)
            #expect(names.contains("a/b/segments/000001.seg"))
            #expect(names.contains("a/b/lbfgsd.sqlite-wal"))
            for name in names {
                let attributes = try files.attributesOfItem(atPath: directory + "/" + name)
                let isDirectory = attributes[.type] as? FileAttributeType == .typeDirectory
                #expect(
                    attributes[.posixPermissions] as? Int == (isDirectory ? 0o700 : 0o600),
                    "\(name)")
            }
            await store.close()
        }
    }

    @Test("No query scans a table that grows")
    func plans() async throws {
        try await withDirectory { directory in
            let store = try await SQLiteStore(directory: directory)
            let plans = try await store.plans()
            #expect(plans.count == StoreQuery.allCases.count)
            // One session's, of which there are few more than are kept, with every 64th of them.
            let sorting = ["deleteOldKeys", "deleteEndedDeliveries"]
            for (query, steps) in plans {
                for step in steps {
                    // Indexes of what is about to go only, a row for each of two tables, and none.
                    let short = ["segment_dead", "hole_open", "sqlite_sequence", "CONSTANT ROW"]
                    let isShort = short.contains { step.contains($0) }
                    #expect(!step.contains("SCAN") || isShort, "\(query)")
                    let maySort = sorting.contains("\(query)")
                    #expect(!step.contains("TEMP B-TREE") || maySort, "\(query)")
                }
            }
            await store.close()
        }
    }

    @Test("Writes that wait share a commit")
    func grouped() async throws {
        try await withDirectory { directory in
            let commits = Mutex(0)
            let store = try await SQLiteStore(
                directory: directory, limits: SQLiteStoreLimits(),
                faults: { point in
                    if point == .commit { commits.withLock { $0 += 1 } }
                    return 0
                }, onFatal: { fatalError($0) })
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 1...200 { group.addTask { try await store.create(number) } }
                try await group.waitForAll()
            }
            #expect(commits.withLock { $0 } < 100)
            await store.close()
        }
    }

    @Test("A queue that is full refuses, and works on")
    func refused() async throws {
        try await withDirectory { directory in
            var limits = SQLiteStoreLimits()
            limits.waitingWritesMax = 2
            let store = try await SQLiteStore(directory: directory, limits: limits)
            let refusal = StoreError.overloaded(.writes, maximum: 2)
            let accepted = await withTaskGroup(of: Bool.self) { group in
                for number in 1...100 {
                    group.addTask {
                        do throws(StoreError) {
                            try await store.create(number)
                            return true
                        } catch {
                            #expect(error == refusal)
                            return false
                        }
                    }
                }
                return await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
            }
            #expect(try await store.sessionCount() == accepted)
            try await store.create(200)
            await store.close()
        }
    }

    @Test("While writes wait, new ones are refused, and batches that are made already are not")
    func admitted() async throws {
        try await withDirectory { directory in
            var limits = SQLiteStoreLimits()
            limits.waitingWritesMax = 1
            let disk = DispatchSemaphore(value: 0)
            let isStuck = Mutex(false)
            let isSyncing = Mutex(false)
            let store = try await SQLiteStore(
                directory: directory, limits: limits,
                faults: { point in
                    if point == .logSync, isStuck.withLock({ $0 }) {
                        isSyncing.withLock { $0 = true }
                        disk.wait()
                    }
                    return 0
                }, onFatal: { fatalError($0) })
            // The journals' tails are known from the first entries, so that the log's thread
            // appends what comes then. It takes no second group while it syncs; if the writer had
            // to look tails up and were the one that is stuck, the thread would take the others.
            for number in 1...3 {
                try await store.create(number)
                try await store.commit(batch(make(told: 1, at: 2)), to: make(session: number))
            }
            isStuck.withLock { $0 = true }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 1...3 {
                    group.addTask {
                        try await store.commit(
                            batch(make(told: 2, at: 3)), to: make(session: number))
                    }
                    while !isSyncing.withLock({ $0 }) { await Task.yield() }
                }
                // One is being synced; the others wait.
                while (try? store.admitWrite()) != nil { await Task.yield() }
                #expect(throws: StoreError.overloaded(.writes, maximum: 1)) {
                    try store.admitWrite()
                }
                await #expect(throws: StoreError.overloaded(.writes, maximum: 1)) {
                    try await store.create(4)
                }
                isStuck.withLock { $0 = false }
                for _ in 1...3 { disk.signal() }
                try await group.waitForAll()
            }
            try store.admitWrite()
            for number in 1...3 {
                #expect(try await store.load(make(session: number)).newest.sequence == 3)
            }
            await store.close()
        }
    }
}
