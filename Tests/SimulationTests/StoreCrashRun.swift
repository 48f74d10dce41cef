import DiskLog
import Foundation
import SQLiteStore
import Sessions
import Synchronization
import TestKit
import Testing

/// A run whose directory is copied now and then, as a crash at `point` would leave it.
final class CrashRun: Sendable {
    let root: String
    let point: WritePoint
    let seed: UInt64
    let crashes = Mutex<[Crash]>([])
    private let acknowledged = Mutex<[Int: SequenceNumber]>([:])
    /// Sizes of the segments at the newest commit.
    private let synced = Mutex<[String: Int]>([:])

    init(root: String, point: WritePoint, seed: UInt64) {
        self.root = root
        self.point = point
        self.seed = seed
    }

    private var live: String { root + "/live" }

    /// - Parameter stagedBytesMin: Longer byte strings are staged outside the committer; then only
    ///   one session may run, so that there are no writes while the directory is copied.
    /// - Parameter hasEventLoop: Whether an event loop's thread commits, as a server's do.
    func workload(
        sessions: Int, commits: Int, stagedBytesMin: Int = .max, hasEventLoop: Bool = false
    ) async throws {
        precondition(stagedBytesMin == .max || sessions == 1)
        var limits = SQLiteStoreLimits()
        limits.inlineBytesMax = 100
        limits.segmentBytesMax = 4096
        limits.stagedBytesMin = stagedBytesMin
        limits.walPagesBeforeCheckpoint = 40
        limits.loggedBytesMax = 100
        limits.logFileBytesMax = 1500
        let passed = Mutex(0)
        let isOpen = Mutex(false)
        let store = try await SQLiteStore(
            directory: live, limits: limits,
            faults: { [self] reached in
                if reached == point, isOpen.withLock({ $0 }) {
                    let count = passed.withLock { passed in
                        passed += 1
                        return passed
                    }
                    if count % 7 == seed % 7 { crash(count) }
                }
                if reached == .answer { noteSegments() }
                return 0
            }, onFatal: { fatalError($0) })
        isOpen.withLock { $0 = true }
        let eventLoop =
            hasEventLoop
            ? EventLoopThread(
                woke: store.eventLoopWoke, drained: store.eventLoopDrained,
                willBlock: store.eventLoopWillBlock) : nil
        defer { eventLoop?.end() }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for session in 1...sessions {
                group.addTask { [self] in
                    try await store.begin(session)
                    acknowledged.withLock { $0[session] = 1 }
                    for sequence in 2...commits {
                        try await store.advance(session, to: sequence)
                        acknowledged.withLock { $0[session] = sequence }
                    }
                }
            }
            try await group.waitForAll()
        }
        await store.close()
    }

    /// Called while all other writes are excluded, or by the only writer.
    private func crash(_ number: Int) {
        let acknowledged = acknowledged.withLock { $0 }
        let copy = root + "/crash-\(number)"
        do {
            try copyCrashed(live, to: copy)
        } catch {
            Issue.record("\(error)")
            return
        }
        crashes.withLock {
            $0.append(
                Crash(
                    directory: copy, acknowledged: acknowledged,
                    segmentSizes: synced.withLock { $0 }))
        }
    }

    private func noteSegments() {
        let segments = live + "/segments"
        let names = (try? FileManager.default.contentsOfDirectory(atPath: segments)) ?? []
        let sizes = names.map { ($0, (try? sizeOfFile(segments + "/" + $0)) ?? 0) }
        synced.withLock { $0 = Dictionary(uniqueKeysWithValues: sizes) }
    }
}

struct Crash: Sendable {
    var directory: String
    var acknowledged: [Int: SequenceNumber]
    var segmentSizes: [String: Int]

    func verify(_ comment: String) async throws {
        let store = try await SQLiteStore(directory: directory)
        #expect(try await store.inconsistencies() == [], "\(comment)")
        for (session, sequence) in acknowledged {
            let newest = try await store.load(workID(session)).newest.sequence
            #expect(newest == sequence || newest == sequence + 1, "\(comment)")
        }
        for session in 1...4 {
            try await store.verify(session, comment)
        }
        // The store accepts further entries.
        for (session, _) in acknowledged {
            let newest = try await store.load(workID(session)).newest.sequence
            try await store.advance(session, to: newest + 1)
            try await store.verify(session, comment)
        }
        await store.close()
    }
}
