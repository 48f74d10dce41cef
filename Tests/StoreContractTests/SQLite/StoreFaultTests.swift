import DiskLog
import Foundation
import SQLiteStore
import Sessions
import Synchronization
import Testing

/// Full disks, failed syncs and wrong bytes.
@Suite struct StoreFaultTests {
    @Test(
        "A full disk fails the write, not the store",
        arguments: [WritePoint.segmentWrite, .commit, .logWrite], [ENOSPC, EDQUOT, EFBIG])
    func full(_ point: WritePoint, code: CInt) async throws {
        try await withDirectory { directory in
            let isFull = Mutex(false)
            let kind = point == .logWrite ? StoreKind.sqlite : .segments
            var limits = kind.limits
            if point != .logWrite { limits.loggedBytesMax = 0 }
            let store = try await SQLiteStore(
                directory: directory, limits: limits,
                faults: { $0 == point && isFull.withLock { $0 } ? code : 0 },
                onFatal: { fatalError($0) })
            try await store.create(1)
            isFull.withLock { $0 = true }
            let error = await #expect(throws: StoreError.self) {
                try await store.commit(batch(make(told: 1, at: 2)), to: make(session: 1))
            }
            guard case .full = error else {
                Issue.record("\(String(describing: error)) isn't .full")
                return
            }
            #expect(try await store.load(make(session: 1)).newest.sequence == 1)
            isFull.withLock { $0 = false }
            try await store.commit(batch(make(told: 1, at: 2)), to: make(session: 1))
            #expect(try await store.load(make(session: 1)).tail == [make(told: 1, at: 2)])
            #expect(try await store.inconsistencies() == [])
            await store.close()
        }
    }

    @Test("A group whose commit fails is tried again write by write")
    func retried() async throws {
        try await withDirectory { directory in
            let failures = Mutex(0)
            let store = try await SQLiteStore(
                directory: directory, limits: StoreKind.segments.limits,
                faults: { point in
                    guard point == .commit else { return 0 }
                    return failures.withLock { left in
                        left -= 1
                        return left >= 0 ? EIO : 0
                    }
                }, onFatal: { fatalError($0) })
            failures.withLock { $0 = 3 }
            let created = await withTaskGroup(of: Bool.self) { group in
                for number in 1...50 {
                    group.addTask { (try? await store.create(number)) != nil }
                }
                return await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
            }
            #expect(created >= 47)
            #expect(try await store.sessionCount() == created)
            #expect(try await store.inventory().sessions == created)
            #expect(try await store.inconsistencies() == [])
            await store.close()
        }
    }

    @Test("A failed sync of the write-ahead log ends the process")
    func logSyncFailed() async throws {
        await #expect(processExitsWith: .failure) {
            let directory = NSTemporaryDirectory() + "/store-" + UUID().uuidString
            let store = try await SQLiteStore(
                directory: directory, limits: SQLiteStoreLimits(),
                faults: { $0 == .logSync ? EIO : 0 },
                onFatal: { reason in
                    try? FileManager.default.removeItem(atPath: directory)
                    exit(reason.contains("sync") ? 70 : 0)
                })
            _ = try? await store.create(1)
            _ = try? await store.commit(batch(make(told: 1, at: 2)), to: make(session: 1))
            exit(0)
        }
    }

    @Test("A failed sync ends the process")
    func syncFailed() async throws {
        await #expect(processExitsWith: .failure) {
            let directory = NSTemporaryDirectory() + "/store-" + UUID().uuidString
            let store = try await SQLiteStore(
                directory: directory, limits: StoreKind.segments.limits,
                faults: { $0 == .segmentSync ? EIO : 0 },
                onFatal: { reason in
                    try? FileManager.default.removeItem(atPath: directory)
                    exit(reason.contains("sync") ? 70 : 0)
                })
            _ = try? await store.create(1)
            exit(0)
        }
    }

    @Test(
        "Wrong bytes of a vector are reported, never returned",
        arguments: [StoreKind.sqlite, .segments, .staged])
    func wrongBytes(_ kind: StoreKind) async throws {
        try await withDirectory { directory in
            let octets = make(bytes: 600, 5)
            let bytes = try octets.bytes()
            var store = try await SQLiteStore(directory: directory, limits: kind.limits)
            try await store.create(1, [("x", .new(octets))])
            try await store.create(2)
            await store.close()
            try flip(bytes[300..<308], under: directory)
            store = try await SQLiteStore(directory: directory, limits: kind.limits)
            await expectCorrupt { _ = try await store.load(make(session: 1)) }
            _ = try await store.load(make(session: 2))
            await store.close()
        }
    }

    @Test("Wrong bytes of a record are reported, never returned")
    func wrongRecord() async throws {
        try await withDirectory { directory in
            var store = try await SQLiteStore(directory: directory)
            try await store.create(1, labels: ["quality": "excellent"])
            try await store.create(2)
            let name = "a name that is found once"
            try await store.commit(
                batch {
                    $0.metadata = SessionMetadata(name: name, labels: [:], version: 2)
                }, to: make(session: 1))
            await store.close()
            try flip(Array(name.utf8)[...], under: directory)
            store = try await SQLiteStore(directory: directory)
            await expectCorrupt { _ = try await store.load(make(session: 1)) }
            // Others are listed, and the damaged one can be deleted by who knows that it is theirs.
            let page = try await store.list(
                pageSize: 5, after: nil,
                matching: SessionFilter(tenant: SessionRecord.defaultTenant))
            #expect(page.items.map(\.record.id) == [make(session: 2)])
            #expect(page.damaged.count == 1)
            #expect(page.damaged.ids == [make(session: 1)])
            let first = try await store.list(pageSize: 1, after: nil, label: nil)
            let second = try await store.list(pageSize: 1, after: first.next, label: nil)
            #expect(first.items.count == 1 && second.items.isEmpty && second.damaged.count == 1)
            #expect(
                try await store.tenant(of: make(session: 1)) == SessionRecord.defaultTenant)
            try await store.delete(make(session: 1))
            await #expect(throws: StoreError.missing) {
                _ = try await store.tenant(of: make(session: 1))
            }
            #expect(try await store.inconsistencies() == [])
            await store.close()
        }
    }

    @Test(
        "A segment that is short or missing is reported, and new vectors go elsewhere",
        arguments: [false, true])
    func lostSegment(missing: Bool) async throws {
        try await withDirectory { directory in
            let limits = StoreKind.segments.limits
            var store = try await SQLiteStore(directory: directory, limits: limits)
            try await store.create(1, [("x", .new(make(bytes: 40, 1)))])
            await store.close()
            let segment = directory + "/segments/000001.seg"
            if missing {
                try FileManager.default.removeItem(atPath: segment)
            } else {
                let handle = try #require(FileHandle(forWritingAtPath: segment))
                try handle.truncate(atOffset: 20)
                try handle.close()
            }
            store = try await SQLiteStore(directory: directory, limits: limits)
            await expectCorrupt { _ = try await store.load(make(session: 1)) }
            try await store.create(2)
            _ = try await store.load(make(session: 2))
            try await store.delete(make(session: 1))
            #expect(try await store.inconsistencies() == [])
            await store.close()
        }
    }

    @Test("Long vectors of several chunks come back, and their segments go with them")
    func long() async throws {
        try await withDirectory { directory in
            var limits = SQLiteStoreLimits()
            limits.segmentBytesMax = 1 << 20
            let store = try await SQLiteStore(directory: directory, limits: limits)
            for number in 1...4 {
                var bytes = [UInt8](repeating: UInt8(number), count: 2 << 20 + number)
                bytes[1 << 20 + 7] = 99
                try await store.create(number, [("x", .new(Octets(bytes)))])
                let loaded = try await store.load(make(session: number))
                #expect(loaded.snapshot.vectors["x"]?.octets == Octets(bytes))
            }
            #expect(try await store.inventory().segmentFiles == 4)
            for number in 1...3 { try await store.delete(make(session: number)) }
            #expect(try await store.inventory().segmentFiles == 1)
            await store.close()
        }
    }

    @Test("What a crash left in the segments is gone after the next start")
    func leftovers() async throws {
        try await withDirectory { directory in
            let limits = StoreKind.segments.limits
            var store = try await SQLiteStore(directory: directory, limits: limits)
            try await store.create(1, [("x", .new(make(bytes: 20, 1)))])
            await store.close()
            let newest = directory + "/segments/000001.seg"
            let size = try #require(FileManager.default.contents(atPath: newest)?.count)
            let handle = try #require(FileHandle(forWritingAtPath: newest))
            try handle.seekToEnd()
            try handle.write(contentsOf: Data([1, 2, 3]))
            try handle.close()
            let orphan = directory + "/segments/000009.seg"
            #expect(FileManager.default.createFile(atPath: orphan, contents: Data([1])))
            store = try await SQLiteStore(directory: directory, limits: limits)
            #expect(!FileManager.default.fileExists(atPath: orphan))
            #expect(FileManager.default.contents(atPath: newest)?.count == size)
            _ = try await store.load(make(session: 1))
            await store.close()
        }
    }
}

private func expectCorrupt(
    sourceLocation: SourceLocation = #_sourceLocation, _ body: () async throws -> Void
) async {
    do {
        try await body()
        Issue.record("nothing was reported", sourceLocation: sourceLocation)
    } catch {
        guard case .corrupt? = error as? StoreError else {
            Issue.record("\(error) isn't .corrupt", sourceLocation: sourceLocation)
            return
        }
    }
}

/// Flips a bit in the middle of `pattern` wherever a file under `directory` has it.
private func flip(_ pattern: ArraySlice<UInt8>, under directory: String) throws {
    var flipped = 0
    for name in try FileManager.default.subpathsOfDirectory(atPath: directory) {
        let url = URL(fileURLWithPath: directory + "/" + name)
        guard var bytes = try? Data(contentsOf: url) else { continue }
        while let range = bytes.range(of: Data(pattern)) {
            bytes[range.lowerBound + pattern.count / 2] ^= 4
            flipped += 1
        }
        try bytes.write(to: url)
    }
    try #require(flipped > 0, "the pattern was not found")
}
