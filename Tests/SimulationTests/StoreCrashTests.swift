import DiskLog
import Foundation
import SQLiteStore
import Sessions
import Synchronization
import Testing

/// Recovery from every state that a crash can leave on the disk: all acknowledged batches are
/// there, and each of the others is there as a whole or not at all.
///
/// Killing the process is not enough of a test, because the kernel keeps what was written. So the
/// states are constructed: copies of the directory between the steps of a write, logs torn at any
/// byte, and segments whose unsynced end is lost.
@Suite struct StoreCrashTests {
    @Test(
        "Stopped between any two steps of a write, nothing acknowledged is lost",
        arguments: WritePoint.allCases, [1, 2])
    func steps(_ point: WritePoint, seed: UInt64) async throws {
        try await withDirectory { root in
            let run = CrashRun(root: root, point: point, seed: seed)
            try await run.workload(sessions: 4, commits: 40)
            #expect(run.crashes.withLock { $0.count } >= 2, "seed \(seed)")
            for crash in run.crashes.withLock({ $0 }) {
                try await crash.verify("\(point), seed \(seed), crash \(crash.directory)")
            }
        }
    }

    @Test(
        "The same where an event loop commits", arguments: WritePoint.allCases, [1, 2])
    func attendedSteps(_ point: WritePoint, seed: UInt64) async throws {
        try await withDirectory { root in
            let run = CrashRun(root: root, point: point, seed: seed)
            try await run.workload(sessions: 4, commits: 40, hasEventLoop: true)
            #expect(run.crashes.withLock { $0.count } >= 2, "seed \(seed)")
            for crash in run.crashes.withLock({ $0 }) {
                try await crash.verify("\(point), seed \(seed), crash \(crash.directory)")
            }
        }
    }

    @Test(
        "The same where vectors have segments of their own", arguments: WritePoint.allCases,
        [1, 2, 3])
    func stagedSteps(_ point: WritePoint, seed: UInt64) async throws {
        try await withDirectory { root in
            let run = CrashRun(root: root, point: point, seed: seed)
            try await run.workload(sessions: 1, commits: 40, stagedBytesMin: 200)
            #expect(run.crashes.withLock { $0.count } >= 2, "seed \(seed)")
            for crash in run.crashes.withLock({ $0 }) {
                let left = try FileManager.default.contentsOfDirectory(
                    atPath: crash.directory + "/segments")
                #expect(left.contains { $0.hasSuffix(".vec") })
                try await crash.verify("\(point), seed \(seed), crash \(crash.directory)")
            }
        }
    }

    @Test("An SQLite WAL torn at any byte gives the commits that were whole", arguments: 1...6)
    func tornLog(seed: UInt64) async throws {
        try await withDirectory { root in
            var generator = Seeded(state: seed)
            let log = "/lbfgsd.sqlite-wal"
            let live = root + "/live"
            var limits = SQLiteStoreLimits()
            limits.inlineBytesMax = 100
            limits.walPagesBeforeCheckpoint = .max
            limits.loggedBytesMax = 0
            let store = try await SQLiteStore(directory: live, limits: limits)
            var sizes = [0, 0]
            try await store.begin(1)
            sizes[1] = try sizeOfFile(live + log)
            for sequence in 2...30 {
                try await store.advance(1, to: sequence)
                sizes.append(try sizeOfFile(live + log))
            }
            for trial in 1...12 {
                let copy = root + "/torn-\(trial)"
                try copyCrashed(live, to: copy)
                let torn = Int.random(in: 0...sizes[30], using: &generator)
                var bytes = try Data(contentsOf: URL(fileURLWithPath: copy + log))
                let rest = bytes.count - torn
                bytes.removeLast(rest)
                // Truncated, or never written: whatever the blocks held before.
                if Bool.random(using: &generator) {
                    let block = (0..<64).map { _ in
                        UInt8.random(in: 0...255, using: &generator)
                    }
                    for _ in 0..<rest / 64 { bytes.append(contentsOf: block) }
                }
                try bytes.write(to: URL(fileURLWithPath: copy + log))
                let whole = sizes.lastIndex { $0 <= torn } ?? 0
                let reopened = try await SQLiteStore(directory: copy, limits: limits)
                let newest = try? await reopened.load(workID(1)).newest.sequence
                #expect(newest ?? 0 == whole, "seed \(seed), torn at \(torn)")
                try await reopened.verify(1, "seed \(seed), torn at \(torn)")
                await reopened.close()
            }
            await store.close()
        }
    }

    @Test("Bytes of a segment that were never synced may be lost", arguments: 1...3)
    func unsynced(seed: UInt64) async throws {
        try await withDirectory { root in
            let run = CrashRun(root: root, point: .segmentSync, seed: seed)
            try await run.workload(sessions: 2, commits: 25)
            for crash in run.crashes.withLock({ $0 }) {
                for (name, size) in crash.segmentSizes {
                    let path = crash.directory + "/segments/" + name
                    var bytes = try Data(contentsOf: URL(fileURLWithPath: path))
                    guard bytes.count > size else { continue }
                    // The unsynced bytes are zeros, or missing.
                    let lost = bytes.count - size
                    bytes.removeLast(lost)
                    if seed.isMultiple(of: 2) { bytes.append(Data(count: lost)) }
                    try bytes.write(to: URL(fileURLWithPath: path))
                }
                try await crash.verify("seed \(seed), crash \(crash.directory)")
            }
        }
    }
}

func withDirectory(_ body: (String) async throws -> Void) async throws {
    let directory = NSTemporaryDirectory() + "/crash-" + UUID().uuidString
    try FileManager.default.createDirectory(
        atPath: directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: directory) }
    try await body(directory)
}
