import DiskLog
import Foundation
import Synchronization
import Testing

/// Crashes and damage at every place of the log: recovery returns the records of all frames that
/// were synced, or refuses.
@Suite("Write-ahead log")
struct WriteAheadLogTests {
    private func open(
        _ directory: String, checkpointedEpoch: UInt64 = 0, fileBytesMax: Int = 1 << 20,
        fileRecordsMax: Int = 1000, salt: LogSalt? = makeSalt(1), faults: WriteFaults? = nil
    ) throws -> (log: WriteAheadLog, records: [ArraySlice<UInt8>]) {
        let opened = try recover(
            directory, checkpointedEpoch: checkpointedEpoch, fileBytesMax: fileBytesMax,
            fileRecordsMax: fileRecordsMax, salt: salt, faults: faults)
        return (opened.log, opened.records)
    }

    private func recover(
        _ directory: String, checkpointedEpoch: UInt64 = 0, fileBytesMax: Int = 1 << 20,
        fileRecordsMax: Int = 1000, salt: LogSalt? = makeSalt(1), faults: WriteFaults? = nil
    ) throws -> WriteAheadLog.Recovered {
        try WriteAheadLog.open(
            directory, checkpointedEpoch: checkpointedEpoch, salt: salt,
            limits: WriteAheadLogLimits(
                fileBytesMax: fileBytesMax, fileRecordsMax: fileRecordsMax),
            faults: FaultInjection(faults: faults))
    }

    private func record(_ number: Int) -> [UInt8] { make(bytes: 20 + number % 50, number) }

    /// The used bytes of a log file: up to the last byte that isn't zero.
    private func usedBytes(_ path: String) throws -> Int {
        try contents(path).lastIndex { $0 != 0 }.map { $0 + 1 } ?? 0
    }

    /// A log of frames with one record each, and the used bytes after each frame.
    private func makeLog(frames count: Int, in directory: String) throws -> [Int] {
        var (log, _) = try open(directory)
        var sizes = [0]
        for number in 1...count {
            try log.append([record(number)])
            sizes.append(try usedBytes(directory + "/1.log"))
        }
        return sizes
    }

    @Test("Records are there after reopening, in order")
    func reopened() throws {
        try withDirectory { directory in
            var (log, found) = try open(directory)
            #expect(found.isEmpty)
            #expect(log.position == LogPosition(epoch: 1, frame: 0))
            try log.append([record(1), record(2), []])
            try log.append([record(3)])
            #expect(log.position == LogPosition(epoch: 1, frame: 2))
            let (reopened, records) = try open(directory)
            #expect(records.map { Array($0) } == [record(1), record(2), [], record(3)])
            // Nothing is appended before the tables have what was recovered.
            #expect(reopened.isFull)
            #expect(reopened.epochToCheckpoint == 1)
            #expect(try open(directory, checkpointedEpoch: 1).records.isEmpty)
        }
    }

    @Test("A log torn at any byte gives the records of the frames that were whole")
    func torn() throws {
        try withDirectory { root in
            let sizes = try makeLog(frames: 6, in: root + "/live")
            var generator = SeededGenerator(seed: 1)
            let live = try contents(root + "/live/1.log")
            for torn in 0...sizes[6] {
                let path = root + "/torn"
                try? FileManager.default.removeItem(atPath: path)
                try copy(root + "/live", to: path)
                var bytes = live
                // Truncated, or never written: zeros, or whatever the blocks held before.
                switch torn % 3 {
                case 0: bytes.removeLast(bytes.count - torn)
                case 1: for index in torn..<bytes.count { bytes[index] = 0 }
                default:
                    for index in torn..<sizes[6] {
                        bytes[index] = UInt8.random(in: 0...255, using: &generator)
                    }
                }
                try change(path + "/1.log") { $0 = bytes }
                var (log, records) = try open(path)
                let whole = sizes.lastIndex { $0 <= torn } ?? 0
                #expect(
                    records.map { Array($0) } == (0..<whole).map { record($0 + 1) },
                    "torn at \(torn)")
                // The log continues over the torn frame, and the next recovery finds that.
                if log.isFull { log.beginEpoch(salt: makeSalt(2)) }
                try log.append([record(99)])
                let epoch: UInt64 = whole > 0 ? 1 : 0
                let salt = makeSalt(whole > 0 ? 2 : 1)
                let again = try open(path, checkpointedEpoch: epoch, salt: salt).records
                #expect(again.map { Array($0) } == [record(99)], "torn at \(torn)")
            }
        }
    }

    @Test("A preamble comes before the records, and counts as none")
    func preamble() throws {
        try withDirectory { directory in
            var (log, _) = try open(directory, fileRecordsMax: 2)
            let first = try log.append([record(1)], preamble: [7]).range
            let second = try log.append([record(2)], preamble: [8, 9]).range
            #expect(first.upperBound == second.lowerBound && first.lowerBound == 0)
            #expect(log.fractionFilled == 1)
            let found = try recover(directory)
            #expect(found.contents.frames.map(\.offset) == [0, first.upperBound])
            #expect(found.records.map { Array($0) } == [[7], record(1), [8, 9], record(2)])
        }
    }

    @Test("One wrong bit anywhere in the log is corrected, and reported")
    func corrected() throws {
        try withDirectory { root in
            let sizes = try makeLog(frames: 4, in: root + "/live")
            for place in 0..<sizes[4] {
                let path = root + "/damaged"
                try? FileManager.default.removeItem(atPath: path)
                try copy(root + "/live", to: path)
                try change(path + "/1.log") { $0[place] ^= 1 << UInt8(place % 8) }
                let recovered = try recover(path)
                #expect(recovered.records.map { Array($0) } == (1...4).map(record), "\(place)")
                #expect(
                    recovered.findings == [.correctedBit(path: path + "/1.log", byte: place)])
            }
        }
    }

    @Test("Damage before the newest frame is a gap, for each byte")
    func damaged() throws {
        try withDirectory { root in
            let sizes = try makeLog(frames: 4, in: root + "/live")
            for place in 0..<sizes[4] {
                let path = root + "/damaged"
                try? FileManager.default.removeItem(atPath: path)
                try copy(root + "/live", to: path)
                try change(path + "/1.log") { $0[place] ^= 0b101 }
                if place < sizes[3] {
                    let frame = sizes.lastIndex { $0 <= place } ?? 0
                    let found = try recover(path)
                    let gaps = found.contents.gaps
                    #expect(gaps.map(\.offset) == [sizes[frame]] && gaps[0].frames == 1)
                    #expect(gaps[0].first == LogPosition(epoch: 1, frame: UInt64(frame)))
                    #expect(gaps[0].next == LogPosition(epoch: 1, frame: UInt64(frame) + 1))
                    #expect(
                        found.records.map { Array($0) }
                            == (1...4).filter { $0 != frame + 1 }.map(record))
                } else {
                    // The newest frame counts as torn, which is said where it can be known.
                    let recovered = try recover(path)
                    #expect(recovered.records.count == 3)
                    if place >= sizes[3] + 64 {
                        let finding = LogFinding.incompleteFrame(
                            path: path + "/1.log", offset: sizes[3], bytes: sizes[4] - sizes[3])
                        #expect(recovered.findings == [finding])
                    }
                }
            }
        }
    }

    /// A client chooses what is in a record: here whole frames of a newer epoch.
    @Test("Frames within a record are none", arguments: [true, false])
    func forged(isSalted: Bool) throws {
        try withDirectory { directory in
            let header = LogFrame.Header(epoch: 9, number: 0, previousFrames: 0)
            let forgery =
                isSalted
                ? LogFrame.encode(header, [[1, 2, 3]], salt: makeSalt(7))
                : makeUnsaltedFrame(header, [[1, 2, 3]])
            var (log, _) = try open(directory)
            try log.append([record(1)])
            try log.append([forgery + forgery])
            try log.append([record(2)])
            let records = try open(directory).records
            #expect(records.map { Array($0) } == [record(1), forgery + forgery, record(2)])
            // Overwritten in part after a restart: the forgery lies behind the log's end.
            var (next, _) = try open(directory, checkpointedEpoch: 1, salt: makeSalt(2))
            try next.append([[4]])
            let again = try open(directory, checkpointedEpoch: 1, salt: makeSalt(2)).records
            #expect(again.map { Array($0) } == [[4]])
        }
    }

    @Test("A log of schema version 3 is read, and goes on with a salt")
    func unsalted() throws {
        try withDirectory { directory in
            try FileManager.default.createDirectory(
                atPath: directory, withIntermediateDirectories: true)
            let frames = (1...3).flatMap { number in
                makeUnsaltedFrame(
                    LogFrame.Header(epoch: 5, number: UInt64(number - 1), previousFrames: 0),
                    [record(number)])
            }
            try Data(frames).write(to: URL(fileURLWithPath: directory + "/1.log"))
            var (log, records) = try open(directory, checkpointedEpoch: 4, salt: nil)
            #expect(records.map { Array($0) } == (1...3).map(record))
            #expect(log.needsSalt && log.isFull && log.epochToCheckpoint == 5)
            log.beginEpoch(salt: makeSalt(3))
            try log.append([record(4)])
            let again = try open(directory, checkpointedEpoch: 5, salt: makeSalt(3)).records
            #expect(again.map { Array($0) } == [record(4)])
        }
    }

    @Test("A new log has no salt, and goes on in its first epoch with one")
    func new() throws {
        try withDirectory { directory in
            var (log, _) = try open(directory, salt: nil)
            #expect(log.needsSalt && log.isFull && log.epochToCheckpoint == 0)
            log.beginEpoch(salt: makeSalt(3))
            #expect(log.position == LogPosition(epoch: 1, frame: 0) && !log.isFull)
            try log.append([record(1)])
            let records = try open(directory, salt: makeSalt(3)).records
            #expect(records.map { Array($0) } == [record(1)])
        }
    }

    @Test("What was recovered stays as it is when it is written once more")
    func rewritten() throws {
        try withDirectory { directory in
            let sizes = try makeLog(frames: 3, in: directory)
            let before = try contents(directory + "/1.log")
            let (log, _) = try open(directory)
            try log.rewriteRecovered()
            #expect(try contents(directory + "/1.log") == before)
            #expect(sizes[3] > 0)
        }
    }

    @Test("Epochs alternate between the files, and recovery joins the two newest")
    func epochs() throws {
        try withDirectory { directory in
            var (log, _) = try open(directory, fileRecordsMax: 3)
            var number = 0
            for epoch in 1...7 {
                #expect(log.epoch == UInt64(epoch))
                #expect(log.epochToCheckpoint == UInt64(epoch - 1))
                while !log.isFull {
                    number += 1
                    try log.append([record(number)])
                }
                #expect(log.fractionFilled == 1)
                let found = try open(directory, checkpointedEpoch: UInt64(max(0, epoch - 2)))
                let first = epoch == 1 ? 1 : number - 5
                #expect(found.records.map { Array($0) } == (first...number).map(record))
                log.beginEpoch()
            }
        }
    }

    @Test("A file that is lost, or cut, is noticed by the other")
    func lost() throws {
        try withDirectory { root in
            var (log, _) = try open(root + "/live", fileRecordsMax: 2)
            for number in 1...2 { try log.append([record(number)]) }
            log.beginEpoch()
            try log.append([record(3)])
            #expect(try open(root + "/live").records.count == 3)
            let cut = root + "/cut"
            try copy(root + "/live", to: cut)
            // The last frame of the older file. A torn end looks like that, but not there.
            let end = try usedBytes(cut + "/1.log")
            try change(cut + "/1.log") { $0[end - 1] ^= 9 }
            let found = try recover(cut)
            #expect(found.contents.gaps.map(\.first) == [LogPosition(epoch: 1, frame: 1)])
            #expect(found.contents.gaps.map(\.next) == [LogPosition(epoch: 2, frame: 0)])
            #expect(found.records.map { Array($0) } == [record(1), record(3)])
            // All of the older file.
            try change(cut + "/1.log") { $0 = [] }
            #expect(throws: LogCorruption.framesMissing(directory: cut)) { try open(cut) }
        }
    }

    @Test("A crash at any point of an append loses no frame that was answered")
    func crashes() throws {
        try withDirectory { root in
            let live = root + "/live"
            let copies = Mutex<[(path: String, answered: Int)]>([])
            let answered = Mutex(0)
            var (log, _) = try open(live) { point in
                copies.withLock { copies in
                    let path = root + "/crash-\(copies.count)-\(point)"
                    try? copy(live, to: path)
                    copies.append((path, answered.withLock { $0 }))
                }
                return 0
            }
            for number in 1...10 {
                try log.append([record(number), record(number + 100)])
                answered.withLock { $0 = number }
            }
            let crashes = copies.withLock { $0 }
            #expect(crashes.count == 20)
            for crash in crashes {
                let records = try open(crash.path).records
                // A frame is there as a whole or not at all.
                #expect(records.count.isMultiple(of: 2), "\(crash.path)")
                let frames = records.count / 2
                #expect(frames == crash.answered || frames == crash.answered + 1, "\(crash.path)")
                for frame in 0..<frames {
                    #expect(Array(records[2 * frame]) == record(frame + 1), "\(crash.path)")
                }
            }
        }
    }

    @Test("A full disk leaves the log as it was")
    func full() throws {
        try withDirectory { directory in
            let isFull = Mutex(false)
            var (log, _) = try open(directory) { point in
                point == .logWrite && isFull.withLock { $0 } ? ENOSPC : 0
            }
            try log.append([record(1)])
            isFull.withLock { $0 = true }
            let error = #expect(throws: FileError.self) { try log.append([record(2)]) }
            #expect(error?.isNoSpace == true)
            isFull.withLock { $0 = false }
            try log.append([record(3)])
            #expect(
                try open(directory).records.map { Array($0) } == [record(1), record(3)])
        }
    }

    @Test("A truncated log is empty, and begins again")
    func truncated() throws {
        try withDirectory { directory in
            var (log, _) = try open(directory)
            try log.append([record(1)])
            try log.truncate()
            #expect(try contents(directory + "/1.log").isEmpty)
            #expect(try open(directory, checkpointedEpoch: 1).records.isEmpty)
        }
    }
}
