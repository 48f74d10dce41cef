import DiskLog
import Foundation
import SQLiteStore
import Sessions
import Synchronization
import TestKit
import Testing

/// The log's checkpoint: entries on their way from the write-ahead log to the tables read the same
/// wherever they are, and none is lost.
@Suite struct LogCheckpointTests {
    /// No quiet timer flushes the log, however slow the machine is.
    private var limits: SQLiteStoreLimits {
        var limits = SQLiteStoreLimits()
        limits.quietSeconds = 3600
        return limits
    }

    @Test("Entries read the same in the log and in the tables")
    func laidOver() async throws {
        try await withDirectory { root in
            let store = try await SQLiteStore(directory: root, limits: limits)
            for session in 1...3 {
                try await store.begin(session)
                for sequence in 2...4 { try await store.tell(session, at: sequence) }
            }
            // Some of the first session's entries are in the tables, by its snapshot.
            try await store.advance(1, to: 5)
            try await store.tell(1, at: 6)
            func seen() async throws -> [String] {
                var seen: [String] = []
                for session in 1...3 {
                    let id = workID(session)
                    seen.append("\(try await store.load(id))")
                    seen.append("\(try await store.summary(id))")
                    for from in 1...8 {
                        seen.append("\(try await store.trace(id, from: from, limit: 3))")
                        let entry = try await store.toldEntry(id, evaluation: from)
                        seen.append("\(String(describing: entry))")
                    }
                    let bytes = try await store.diskBytes(id)
                    seen.append("\(bytes)")
                }
                seen.append("\(try await store.list(pageSize: 2, after: nil, label: nil))")
                return seen
            }
            let before = try await seen()
            // Taking an inventory flushes all entries to the tables.
            #expect(try await store.inventory().entries == 5 + 4 + 4)
            #expect(try await seen() == before)
            try await store.tell(2, at: 5)
            try await store.delete(workID(2))
            await #expect(throws: StoreError.missing) { _ = try await store.load(workID(2)) }
            #expect(try await store.inconsistencies() == [])
            await store.close()
            #expect(try usedBytes(root) == 0)
        }
    }

    @Test(
        "Of more entries than a frame takes, with tails that are not cached, none waits for ever",
        .timeLimit(.minutes(1)))
    func manyUnknown() async throws {
        try await onThread {
            try await withDirectory { root in
                let sessions = 1...40
                let first = try await SQLiteStore(directory: root, limits: limits)
                for session in sessions { try await first.begin(session) }
                await first.close()
                var limits = self.limits
                limits.groupWritesMax = 4
                // Each journal's tail must be looked up, and no other write starts the writer.
                let store = try await SQLiteStore(directory: root, limits: limits)
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for session in sessions {
                        group.addTask { try await store.tell(session, at: 2) }
                    }
                    try await group.waitForAll()
                }
                for session in sessions {
                    #expect(try await store.load(workID(session)).tail == [told(session, at: 2)])
                }
                await store.close()
            }
        }
    }

    @Test(
        "When nothing is written for a while the log is flushed to the tables",
        .timeLimit(.minutes(1)))
    func quiet() async throws {
        try await onThread {
            try await withDirectory { root in
                var limits = self.limits
                limits.quietSeconds = 0.05
                let store = try await SQLiteStore(directory: root + "/live", limits: limits)
                for session in 1...3 {
                    try await store.begin(session)
                    for sequence in 2...300 { try await store.tell(session, at: sequence) }
                }
                // Eventually the tables have everything, even without the log.
                for trial in 1... {
                    let copy = root + "/copy-\(trial)"
                    try copyCrashed(root + "/live", to: copy)
                    try FileManager.default.removeItem(atPath: copy + "/journal")
                    let other = try await SQLiteStore(directory: copy)
                    var newest: [SequenceNumber] = []
                    for session in 1...3 {
                        newest.append(try await other.load(workID(session)).newest.sequence)
                    }
                    await other.close()
                    if newest == [300, 300, 300] { break }
                    try await Task.sleep(for: .milliseconds(50))
                }
                await store.close()
            }
        }
    }

    @Test("Sessions that take turns fill both files many times, and nothing is lost")
    func turns() async throws {
        try await withDirectory { root in
            var limits = self.limits
            limits.logFileBytesMax = 20_000
            let store = try await SQLiteStore(directory: root + "/live", limits: limits)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for session in 1...8 {
                    group.addTask {
                        try await store.begin(session)
                        // Snapshots cover the entries of odd sessions; even ones have none.
                        for sequence in 2...200 {
                            if session.isMultiple(of: 2) {
                                try await store.tell(session, at: sequence)
                            } else {
                                try await store.advance(session, to: sequence)
                            }
                        }
                    }
                }
                try await group.waitForAll()
            }
            let journal = root + "/live/journal"
            for name in ["/1.log", "/2.log"] {
                #expect(try sizeOfFile(journal + name) < 2 * 256 << 10)
            }
            try copyCrashed(root + "/live", to: root + "/crashed")
            let reopened = try await SQLiteStore(directory: root + "/crashed", limits: limits)
            for session in 1...8 {
                let loaded = try await reopened.load(workID(session))
                #expect(loaded.newest.sequence == 200)
                if session.isMultiple(of: 2) {
                    #expect(loaded.tail == (2...200).map { told(session, at: $0) })
                } else {
                    try await reopened.verify(session, "turns")
                }
            }
            #expect(try await reopened.inconsistencies() == [])
            await reopened.close()
            await store.close()
        }
    }

    @Test("Entries that can't be flushed stay in the log, and others go on")
    func kept() async throws {
        try await withDirectory { root in
            var limits = self.limits
            limits.logFileBytesMax = 2_000
            let isDamaged = FaultSwitch()
            let store = try await SQLiteStore(
                directory: root, limits: limits,
                faults: { point in point == .commit && isDamaged.isOn ? EIO : 0 },
                onFatal: { fatalError($0) })
            for session in 1...2 { try await store.begin(session) }
            for sequence in 2...4 { try await store.tell(1, at: sequence) }
            isDamaged.isOn = true
            // Nothing can be flushed: the log accepts entries until it is full, then refuses.
            var told = 1
            while told < 100, (try? await store.tell(2, at: told + 1)) != nil { told += 1 }
            #expect(told > 2 && told < 100)
            isDamaged.isOn = false
            try await store.tell(2, at: told + 1)
            #expect(try await store.load(workID(1)).newest.sequence == 4)
            #expect(try await store.load(workID(2)).newest.sequence == told + 1)
            #expect(try await store.inconsistencies() == [])
            await store.close()
        }
    }
}

private final class FaultSwitch: Sendable {
    private let state = Mutex(false)
    var isOn: Bool {
        get { state.withLock { $0 } }
        set { state.withLock { $0 = newValue } }
    }
}

private func told(_ session: Int, at sequence: SequenceNumber) -> JournalEntry {
    JournalEntry(
        sequence: sequence, kind: .told, time: Date(timeIntervalSince1970: Double(sequence)),
        trace: TracePoint(
            evaluation: sequence - 1, step: 1, iteration: sequence, loss: -.infinity,
            gradientNormInf: nil, stepLength: 0.5,
            time: Date(timeIntervalSince1970: Double(sequence))),
        resultDigest: Digest(high: UInt64(session), low: .max),
        status: SessionStatus(
            phase: .evaluating, step: 1, evaluation: sequence, loss: nil),
        payload: Octets((0..<50).map { UInt8(truncatingIfNeeded: $0 &* sequence &+ session) }))
}

extension SQLiteStore {
    /// An entry that comes alone.
    fileprivate func tell(_ session: Int, at sequence: SequenceNumber) async throws {
        var batch = Batch()
        batch.entries = [told(session, at: sequence)]
        try await commit(batch, to: workID(session))
    }
}

private let logs = ["/journal/1.log", "/journal/2.log"]

/// Up to the last byte of the log that isn't zero.
private func usedBytes(_ directory: String) throws -> Int {
    try logs.reduce(0) { used, name in
        let bytes = try Data(contentsOf: URL(fileURLWithPath: directory + name))
        return used + (bytes.lastIndex { $0 != 0 }.map { $0 + 1 } ?? 0)
    }
}
