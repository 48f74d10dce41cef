import DiskLog
import Foundation
import SQLiteStore
import Sessions
import Synchronization
import Testing

/// What opening a store makes of its write-ahead log: durable before anyone is told of it, and
/// taken for nothing but what the store itself has written.
@Suite struct LogRecoveryTests {
    private var limits: SQLiteStoreLimits {
        var limits = SQLiteStoreLimits()
        limits.quietSeconds = 3600
        return limits
    }

    /// A store with sessions 1 and 2, each told up to 3, that is killed while session 1 is told 4:
    /// the frame is written and not synced, and the page cache has it.
    ///
    /// - Returns: The directory as the next process finds it, and its `journal` as the disk has it.
    private func kill(_ root: String) async throws -> (killed: String, synced: String) {
        let (live, killed, synced) = (root + "/live", root + "/killed", root + "/synced")
        let isWatched = Mutex(false)
        let store = try await SQLiteStore(
            directory: live, limits: limits,
            faults: { point in
                guard isWatched.withLock({ $0 }) else { return 0 }
                do {
                    switch point {
                    case .logWrite:
                        try FileManager.default.copyItem(
                            atPath: live + "/journal", toPath: synced)
                    case .logSync: try copyCrashed(live, to: killed)
                    case .segmentWrite, .segmentSync, .commit, .answer: break
                    }
                } catch {
                    Issue.record("\(error)")
                }
                return 0
            }, onFatal: { fatalError($0) })
        for session in 1...2 {
            try await store.begin(session)
            for sequence in 2...3 { try await store.tell(session, at: sequence) }
        }
        isWatched.withLock { $0 = true }
        try await store.tell(1, at: 4)
        isWatched.withLock { $0 = false }
        await store.close()
        return (killed, synced)
    }

    @Test("A result that only the page cache has after a kill is durable before it is shown")
    func killedThenPowerLoss() async throws {
        try await withDirectory { root in
            let (killed, synced) = try await kill(root)
            let restarted = try await SQLiteStore(directory: killed, limits: limits)
            // The client repeats its result, and is told that the store has it.
            #expect(try await restarted.load(workID(1)).newest.sequence == 4)
            // Power fails. Of the log the disk has what was synced before the kill.
            let lost = root + "/lost"
            try copyCrashed(killed, to: lost)
            try FileManager.default.removeItem(atPath: lost + "/journal")
            try FileManager.default.copyItem(atPath: synced, toPath: lost + "/journal")
            await restarted.close()
            let store = try await SQLiteStore(directory: lost, limits: limits)
            #expect(try await store.load(workID(1)).newest.sequence == 4)
            #expect(try await store.load(workID(2)).newest.sequence == 3)
            try await store.tell(1, at: 5)
            #expect(try await store.inconsistencies() == [])
            await store.close()
        }
    }

    @Test("A store on a full disk opens with what the log has, and goes on when there is room")
    func fullDisk() async throws {
        try await withDirectory { root in
            let (killed, _) = try await kill(root)
            let isFull = Mutex(true)
            let store = try await SQLiteStore(
                directory: killed, limits: limits,
                faults: { $0 == .commit && isFull.withLock { $0 } ? ENOSPC : 0 },
                onFatal: { fatalError($0) })
            #expect(try await store.load(workID(1)).newest.sequence == 4)
            await #expect(throws: StoreError.self) { try await store.tell(2, at: 4) }
            try copyCrashed(killed, to: root + "/again")
            isFull.withLock { $0 = false }
            try await store.tell(2, at: 4)
            #expect(try await store.inconsistencies() == [])
            await store.close()
            let again = try await SQLiteStore(directory: root + "/again", limits: limits)
            #expect(try await again.load(workID(1)).newest.sequence == 4)
            await again.close()
        }
    }

    /// A gradient whose bytes are a frame of a newer epoch. It is told, the process is killed, the
    /// next one writes over the start of the log, and is killed too.
    @Test("A payload can't be taken for a frame", arguments: [true, false])
    func forged(isSalted: Bool) async throws {
        try await withDirectory { root in
            let header = LogFrame.Header(epoch: 1 << 40, number: 0, previousFrames: 0)
            var forgery = LogFrame.encode(header, [[1, 2, 3]], salt: .random())
            if !isSalted {
                // As of schema version 3: without a salt.
                var body: [UInt8] = [0, 0, 0, 0]
                body.appendLittleEndian(header.epoch)
                body.appendLittleEndian(header.number)
                body.appendLittleEndian(header.previousFrames)
                forgery = Array("lbfgslog".utf8)
                forgery.appendLittleEndian(CRC32C.checksum(body))
                forgery += body
            }
            var directory = root + "/live"
            let first = try await SQLiteStore(directory: directory, limits: limits)
            try await first.begin(1)
            for sequence in 2...9 { try await first.tell(1, at: sequence, payload: forgery) }
            var crashed: [SQLiteStore] = [first]
            for life in 1...3 {
                try copyCrashed(directory, to: root + "/crash-\(life)")
                directory = root + "/crash-\(life)"
                let store = try await SQLiteStore(directory: directory, limits: limits)
                #expect(store.findings == [])
                #expect(try await store.load(workID(1)).newest.sequence == 8 + life)
                try await store.tell(1, at: 9 + life)
                crashed.append(store)
            }
            for store in crashed { await store.close() }
        }
    }

    @Test("A flipped bit in the newest acknowledged record loses nothing, and is reported")
    func flipped() async throws {
        try await withDirectory { root in
            let live = root + "/live"
            let store = try await SQLiteStore(directory: live, limits: limits)
            try await store.begin(1)
            for sequence in 2...4 { try await store.tell(1, at: sequence) }
            let log = "/journal/1.log"
            let used = try usedLog(live + log)
            let newest = try #require(
                used.indices.last { used[$0...].starts(with: LogFrame.magic) })
            for (trial, byte) in stride(from: newest, to: used.count, by: 17).enumerated() {
                let copy = root + "/flipped-\(trial)"
                try copyCrashed(live, to: copy)
                let url = URL(fileURLWithPath: copy + log)
                var bytes = try Data(contentsOf: url)
                bytes[byte] ^= 1 << UInt8(trial % 8)
                try bytes.write(to: url)
                let opened = try await SQLiteStore(directory: copy, limits: limits)
                #expect(try await opened.load(workID(1)).newest.sequence == 4)
                #expect(opened.findings.count == 1)
                #expect(opened.findings.first?.contains("byte \(byte) ") == true)
                await opened.close()
                try FileManager.default.removeItem(atPath: copy)
            }
            // A byte more, and the record can't be told from one that was being written.
            let copy = root + "/torn"
            try copyCrashed(live, to: copy)
            let url = URL(fileURLWithPath: copy + log)
            var bytes = try Data(contentsOf: url)
            bytes[used.count - 1] ^= 3
            try bytes.write(to: url)
            let opened = try await SQLiteStore(directory: copy, limits: limits)
            #expect(try await opened.load(workID(1)).newest.sequence == 3)
            #expect(
                opened.findings.first?.contains("\(used.count - newest) bytes at byte \(newest)")
                    == true)
            await opened.close()
            await store.close()
        }
    }
}

/// Up to the last byte that isn't zero.
private func usedLog(_ path: String) throws -> [UInt8] {
    let bytes = Array(try Data(contentsOf: URL(fileURLWithPath: path)))
    return Array(bytes[..<(bytes.lastIndex { $0 != 0 }.map { $0 + 1 } ?? 0)])
}

extension SQLiteStore {
    /// An entry that comes alone.
    fileprivate func tell(
        _ session: Int, at sequence: SequenceNumber, payload: [UInt8] = [1, 2, 3]
    ) async throws {
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
                payload: Octets(payload))
        ]
        try await commit(batch, to: workID(session))
    }
}
