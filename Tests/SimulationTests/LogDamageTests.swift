import DiskLog
import Foundation
import SQLiteStore
import Sessions
import Synchronization
import Testing

/// Damage to the write-ahead log, and to a session whose entries it has: it is held to the sessions
/// that it concerns, however often the store is opened and wherever a crash comes.
@Suite struct LogDamageTests {
    private var limits: SQLiteStoreLimits {
        var limits = SQLiteStoreLimits()
        limits.quietSeconds = 3600
        return limits
    }

    private func open(
        _ directory: String, faults: WriteFaults? = nil
    ) async throws -> SQLiteStore {
        try await SQLiteStore(
            directory: directory, limits: limits, faults: faults, onFatal: { fatalError($0) })
    }

    private func newest(_ store: SQLiteStore, _ session: Int) async throws -> SequenceNumber? {
        do throws(StoreError) {
            return try await store.load(workID(session)).newest.sequence
        } catch {
            guard case .corrupt = error else { throw error }
            return nil
        }
    }

    /// Where the frames of a log file begin.
    private func frames(_ path: String) throws -> [Int] {
        let bytes = Array(try Data(contentsOf: URL(fileURLWithPath: path)))
        return bytes.indices.filter { bytes[$0...].starts(with: LogFrame.magic) }
    }

    private func overwrite(_ path: String, _ range: Range<Int>) throws {
        let url = URL(fileURLWithPath: path)
        var bytes = try Data(contentsOf: url)
        for index in range where index < bytes.count { bytes[index] = 0xA5 }
        try bytes.write(to: url)
    }

    @Test("A lost page of the log refuses the sessions that lost entries, for good")
    func lostPage() async throws {
        try await withDirectory { root in
            let live = try await open(root + "/live")
            for session in 1...4 { try await live.begin(session) }
            // Frames of some hundred bytes each, in turn; session 4 has entries only at the end.
            for sequence in 2...6 {
                for session in 1...3 { try await live.tell(session, at: sequence) }
            }
            for sequence in 2...6 {
                try await live.tell(2, at: sequence + 5)
                try await live.tell(3, at: sequence + 5)
                try await live.tell(4, at: sequence)
            }
            let log = "/journal/1.log"
            let starts = try frames(root + "/live" + log)
            #expect(starts.count == 30)
            for (trial, frame) in [3, 9, 14, 20, 28].enumerated() {
                let copy = root + "/damaged-\(trial)"
                try copyCrashed(root + "/live", to: copy)
                // The end of one frame and the beginning of the next, but not the newest.
                try overwrite(copy + log, starts[frame - 1] + 200..<starts[frame] + 30)
                let lost = Set(
                    [frame - 1, frame].map { index in
                        index < 15 ? index % 3 + 1 : [2, 3, 4][index % 3]
                    })
                for life in 0..<3 {
                    let store = try await open(copy)
                    if life == 0 {
                        let place = "byte \(starts[frame - 1])"
                        #expect(store.findings.contains { $0.contains(place) })
                    }
                    for session in 1...4 {
                        let whole = [1: 6, 2: 11, 3: 11, 4: 6][session]
                        let expected = lost.contains(session) ? nil : whole
                        #expect(
                            try await newest(store, session) == expected.map { $0 + life },
                            "trial \(trial), life \(life), session \(session)")
                        if let expected {
                            try await store.tell(session, at: expected + life + 1)
                        }
                    }
                    // Once after a crash, once in order.
                    if life == 0 {
                        let next = root + "/crashed-\(trial)"
                        try copyCrashed(copy, to: next)
                        await store.close()
                        try FileManager.default.removeItem(atPath: copy)
                        try FileManager.default.moveItem(atPath: next, toPath: copy)
                    } else {
                        await store.close()
                    }
                }
            }
            await live.close()
        }
    }

    @Test("A lost page at the end of the older file is held to its sessions too")
    func lostEnd() async throws {
        try await withDirectory { root in
            var limits = self.limits
            limits.logFileBytesMax = 4_000
            let (journal, damaged) = (root + "/live/journal", root + "/damaged")
            let live = try await SQLiteStore(
                directory: root + "/live", limits: limits,
                faults: { point in
                    // With the first frame of the newer file, before anything is moved.
                    guard point == .answer, !FileManager.default.fileExists(atPath: damaged),
                        (try? sizeOfFile(journal + "/2.log")) ?? 0 > 0
                    else { return 0 }
                    try? copyCrashed(root + "/live", to: damaged)
                    return 0
                }, onFatal: { fatalError($0) })
            for session in 1...3 { try await live.begin(session) }
            for sequence in 2...40 {
                for session in 1...2 { try await live.tell(session, at: sequence) }
            }
            await live.close()
            let newestOfOlder = try #require(try frames(damaged + "/journal/1.log").last)
            #expect(try frames(damaged + "/journal/2.log").count == 1)
            try overwrite(damaged + "/journal/1.log", newestOfOlder + 40..<newestOfOlder + 60)
            let store = try await open(damaged)
            var refused = 0
            for session in 1...2 {
                let found = try await newest(store, session)
                if found == nil { refused += 1 }
            }
            #expect(refused == 1)
            #expect(try await newest(store, 3) == 1)
            await store.close()
        }
    }

    @Test("More than a page, of which nobody can say what was in it, closes the store")
    func lostMore() async throws {
        try await withDirectory { root in
            let live = try await open(root + "/live")
            for session in 1...2 { try await live.begin(session) }
            for sequence in 2...40 {
                for session in 1...2 { try await live.tell(session, at: sequence) }
            }
            try copyCrashed(root + "/live", to: root + "/damaged")
            let log = root + "/damaged/journal/1.log"
            let starts = try frames(log)
            try overwrite(log, starts[5]..<starts[5] + 3 * RecentFrames.pageBytes)
            await #expect(
                throws: StoreError.corrupt(
                    LogCorruption.damagedFrame(path: log, offset: starts[5]).description)
            ) { try await open(root + "/damaged") }
            await live.close()
        }
    }

    @Test("Entries of a damaged session survive a crash at every moment of a start")
    func detached() async throws {
        try await withDirectory { root in
            let live = try await open(root + "/live")
            for session in 1...2 {
                try await live.begin(session)
                for sequence in 2...5 { try await live.advance(session, to: sequence) }
                for sequence in 6...7 { try await live.tell(session, at: sequence) }
            }
            try await live.loseNewestRow(of: workID(1))
            try copyCrashed(root + "/live", to: root + "/damaged")
            let crashes = Mutex(0)
            let store = try await open(root + "/damaged") { point in
                do {
                    let number = crashes.withLock { count in
                        count += 1
                        return count
                    }
                    try copyCrashed(root + "/damaged", to: root + "/crash-\(number)-\(point)")
                } catch {
                    Issue.record("\(error)")
                }
                return 0
            }
            try await store.tell(2, at: 8)
            await store.close()
            await live.close()
            let copies =
                try FileManager.default.contentsOfDirectory(atPath: root)
                .filter { $0.hasPrefix("crash-") } + ["damaged"]
            #expect(copies.count > 3)
            for copy in copies {
                let again = try await open(root + "/" + copy)
                #expect(try await newest(again, 1) == nil, "\(copy)")
                let other = try await newest(again, 2)
                #expect(other == 7 || other == 8, "\(copy)")
                // A session that is refused can be deleted, and then is forgotten.
                try await again.delete(workID(1))
                await #expect(throws: StoreError.missing) { _ = try await again.load(workID(1)) }
                #expect(try await again.inconsistencies() == [], "\(copy)")
                await again.close()
            }
        }
    }
}

extension SQLiteStore {
    /// An entry that comes alone.
    fileprivate func tell(_ session: Int, at sequence: SequenceNumber) async throws {
        let time = Date(timeIntervalSince1970: Double(sequence))
        var batch = Batch()
        batch.entries = [
            JournalEntry(
                sequence: sequence, kind: .told, time: time,
                trace: TracePoint(
                    evaluation: sequence - 1, step: 1, iteration: sequence, loss: 1,
                    gradientNormInf: nil, stepLength: 0.5, time: time),
                resultDigest: Digest(high: UInt64(session), low: .max),
                status: SessionStatus(
                    phase: .evaluating, step: 1, evaluation: sequence, loss: nil),
                payload: Octets([UInt8](repeating: UInt8(session), count: 100)))
        ]
        try await commit(batch, to: workID(session))
    }
}
