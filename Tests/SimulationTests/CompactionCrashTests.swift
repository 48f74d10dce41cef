import DiskLog
import Foundation
import SQLiteStore
import Sessions
import Synchronization
import Testing

/// A compaction that is cut short leaves each vector in one place or the other.
@Suite struct CompactionCrashTests {
    @Test(
        "Stopped anywhere, it loses nothing and can be done again",
        arguments: [WritePoint.segmentWrite, .segmentSync, .commit, .answer])
    func stopped(_ point: WritePoint) async throws {
        try await withDirectory { root in
            let live = root + "/live"
            var limits = SQLiteStoreLimits()
            limits.inlineBytesMax = 100
            limits.segmentBytesMax = 4096
            limits.groupBytesMax = 1500
            try await fill(live, limits)
            let copies = Mutex<[String]>([])
            _ = try await SQLiteStore.compact(
                directory: live, limits: limits, horizon: .distantPast,
                faults: { reached in
                    guard reached == point else { return 0 }
                    do {
                        let copy = copies.withLock { copies in
                            copies.append(root + "/crash-\(copies.count + 1)")
                            return copies[copies.count - 1]
                        }
                        try copyCrashed(live, to: copy)
                    } catch {
                        Issue.record("\(error)")
                    }
                    return 0
                }, onFatal: { fatalError($0) })
            let crashed = copies.withLock { $0 }
            #expect(crashed.count >= 3)
            for directory in crashed + [live] {
                try await verify(directory, limits, "\(point), \(directory)")
                _ = try await SQLiteStore.compact(
                    directory: directory, limits: limits, horizon: .distantPast)
                try await verify(directory, limits, "\(point), \(directory), again")
            }
        }
    }

    @Test("A full disk leaves the store as it was", arguments: [WritePoint.segmentWrite, .commit])
    func full(_ point: WritePoint) async throws {
        try await withDirectory { root in
            let live = root + "/live"
            var limits = SQLiteStoreLimits()
            limits.inlineBytesMax = 100
            limits.segmentBytesMax = 4096
            limits.groupBytesMax = 1500
            try await fill(live, limits)
            let passed = Mutex(0)
            await #expect(throws: StoreError.self) {
                _ = try await SQLiteStore.compact(
                    directory: live, limits: limits, horizon: .distantPast,
                    faults: { reached in
                        guard reached == point else { return 0 }
                        return passed.withLock { passed in
                            passed += 1
                            return passed > 4 ? ENOSPC : 0
                        }
                    }, onFatal: { fatalError($0) })
            }
            try await verify(live, limits, "\(point)")
        }
    }

    /// Sessions 1 and 3 of four, whose segments have dead bytes.
    private func fill(_ directory: String, _ limits: SQLiteStoreLimits) async throws {
        let store = try await SQLiteStore(directory: directory, limits: limits)
        for session in 1...4 { try await store.begin(session) }
        for sequence in 2...40 {
            for session in 1...4 { try await store.advance(session, to: sequence) }
        }
        for session in [2, 4] { try await store.delete(workID(session)) }
        await store.close()
    }

    private func verify(
        _ directory: String, _ limits: SQLiteStoreLimits, _ comment: String
    ) async throws {
        let store = try await SQLiteStore(directory: directory, limits: limits)
        #expect(try await store.inconsistencies() == [], "\(comment)")
        #expect(try await store.sessionCount() == 2, "\(comment)")
        for session in [1, 3] {
            #expect(try await store.load(workID(session)).newest.sequence == 40, "\(comment)")
            try await store.verify(session, comment)
        }
        await store.close()
    }
}
