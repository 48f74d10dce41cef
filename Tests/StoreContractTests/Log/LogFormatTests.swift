import DiskLog
import Foundation
import SQLiteStore
import SessionModel
import Testing

/// The log on disk, as the daemon 0.1.0 wrote it before it was killed: `Fixtures/journal.hex` has
/// the frames of one session's step, two results and one failure.
@Suite("The format of the log")
struct LogFormatTests {
    private static let session = "s2gf175kxad7prcprvbyz"

    private func fixture() throws -> [UInt8] {
        let path = URL(filePath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().appending(path: "Fixtures/journal.hex")
        let digits = try String(contentsOf: path, encoding: .utf8).filter { $0 != "\n" }
        return stride(from: 0, to: digits.count, by: 2).compactMap { offset in
            let start = digits.index(digits.startIndex, offsetBy: offset)
            return UInt8(digits[start..<digits.index(start, offsetBy: 2)], radix: 16)
        }
    }

    @Test("Frames of an older daemon are read, and their records written with the same bytes")
    func sameBytes() throws {
        let old = try fixture()
        var offset = 0
        var entries: [LoggedEntry] = []
        while let frame = LogFrame.decode(old, at: offset, salt: nil) {
            let records = try #require(LogFrame.records(in: old[frame.records]))
            let logged = try records.map { try LoggedEntry(record: $0) }
            entries += logged
            #expect(try logged.map { try $0.record() } == records.map { Array($0) })
            offset = frame.records.upperBound
        }
        #expect(offset == old.count)
        #expect(entries.map(\.entry.sequence) == [2, 3, 4, 5])
        #expect(entries.map(\.entry.kind) == [.stepBegun, .told, .told, .failed])
        #expect(entries.allSatisfy { $0.session.rawValue == Self.session })
        #expect(try entries[3].entry.payload.bytes() == Array("mesh inverted".utf8))
        // The loss of 1.5^2 + 3 * 2^2.
        #expect(entries[1].entry.trace?.loss == 14.25)
    }

    @Test("A record that ends early is corrupt, at every length")
    func truncated() throws {
        for hasDetails in [false, true] {
            var entry = make(told: 1, at: 2, payload: [])
            if hasDetails {
                entry.progress = SessionProgress(
                    best: BestEvaluation(loss: 1, evaluation: 1), mode: .robust)
                entry.trace?.search = SearchTrace(slope: -1, startLoss: 2, startSlope: -3)
            }
            let record = try LoggedEntry(session: make(session: 1), entry: entry).record()
            for length in 0..<record.count {
                #expect(throws: StoreError.self, "\(length) bytes") {
                    _ = try LoggedEntry(record: record[..<length])
                }
            }
            #expect(try LoggedEntry(record: record[...]).entry == entry)
        }
    }

    @Test("A store opens with the log of an older daemon")
    func opens() async throws {
        try await withDirectory { root in
            let id = try #require(SessionID(Self.session))
            let live = try await SQLiteStore(directory: root + "/live")
            _ = try await live.create(
                make(record: id), entry: make(entry: 1), snapshot: make(snapshot: 1),
                idempotency: nil)
            try await live.forgetLogSalt()
            // As a crash leaves the directory, with the older daemon's log.
            try FileManager.default.copyItem(atPath: root + "/live", toPath: root + "/crashed")
            await live.close()
            try Data(try fixture()).write(
                to: URL(fileURLWithPath: root + "/crashed/journal/1.log"))
            let store = try await SQLiteStore(directory: root + "/crashed")
            #expect(try await store.load(id).tail.map(\.sequence) == [2, 3, 4, 5])
            #expect(try await store.inconsistencies() == [])
            // From now on the log has a salt, and the older frames are left over.
            var told = Batch()
            told.entries = [make(told: 5, at: 6)]
            try await store.commit(told, to: id)
            try FileManager.default.copyItem(
                atPath: root + "/crashed", toPath: root + "/crashed-again")
            await store.close()
            let again = try await SQLiteStore(directory: root + "/crashed-again")
            #expect(try await again.load(id).tail.map(\.sequence) == [2, 3, 4, 5, 6])
            await again.close()
        }
    }
}
