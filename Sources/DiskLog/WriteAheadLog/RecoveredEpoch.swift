/// Damage to a log that a crash does not explain, and of which nobody can say what it concerns.
package enum LogCorruption: Error, Equatable, CustomStringConvertible {
    /// A frame is wrong, and whole frames follow it.
    case damagedFrame(path: String, offset: Int)
    /// The two files do not continue each other.
    case framesMissing(directory: String)
    /// A frame matches its checksum, and its records do not fill it.
    case malformedRecords(path: String, offset: Int)

    package var description: String {
        switch self {
        case .damagedFrame(let path, let offset):
            "\(path) has a damaged frame at byte \(offset), before others that are whole"
        case .framesMissing(let directory):
            "frames are missing between the log files in \(directory)"
        case .malformedRecords(let path, let offset):
            "the records of the frame at byte \(offset) of \(path) do not fill it"
        }
    }
}

/// A whole frame of a log, and where it lies.
package struct RecoveredFrame: Equatable, Sendable {
    package var path: String
    package var offset: Int
    package var position: LogPosition
    package var records: [ArraySlice<UInt8>]
}

/// Frames that are not there any more though others that were synced after them are.
package struct LogGap: Equatable, Sendable {
    package var path: String
    /// Where the first of them begins.
    package var offset: Int
    /// The first of them.
    package var first: LogPosition
    /// How many frames are missing.
    package var frames: UInt64
    /// The whole frame after them.
    package var next: LogPosition

    package var corruption: LogCorruption { .damagedFrame(path: path, offset: offset) }
}

/// What recovery finds in one file of the log.
struct RecoveredEpoch {
    let path: String
    /// The epoch; 0 if there are no frames.
    private(set) var number: UInt64 = 0
    /// How many frames the epoch has up to the newest whole one, those in gaps included.
    private(set) var frames: UInt64 = 0
    private(set) var previousFrames: UInt64 = 0
    private(set) var whole: [RecoveredFrame] = []
    private(set) var gaps: [LogGap] = []
    /// Where the frames end.
    private(set) var end = 0
    private(set) var findings: [LogFinding] = []

    /// Reads the file up to the frame that was being written when the process ended.
    init(in file: DiskFile, newerThan checkpointed: UInt64, salt: LogSalt?) throws {
        path = file.path
        var bytes = try file.readAll()
        var ranges: [(offset: Int, number: UInt64, records: Range<Int>)] = []
        while true {
            if let frame = frame(in: &bytes, of: file, newerThan: checkpointed, salt: salt) {
                (number, previousFrames) = (frame.header.epoch, frame.header.previousFrames)
                ranges.append((end, frames, frame.records))
                frames += 1
                end = frame.records.upperBound
                continue
            }
            // Frames of older epochs may lie behind: the file is overwritten from its start.
            guard
                let next = LogFrame.nextFrame(
                    in: bytes, from: end, newerThan: checkpointed, salt: salt)
            else { break }
            // No record can pass for a frame with a salt, so what is found here was synced after
            // what is missing.
            guard salt != nil, next.header.number > frames,
                number == 0 || next.header.epoch == number
            else { throw LogCorruption.damagedFrame(path: file.path, offset: end) }
            number = next.header.epoch
            gaps.append(
                LogGap(
                    path: file.path, offset: end, first: LogPosition(epoch: number, frame: frames),
                    frames: next.header.number - frames,
                    next: LogPosition(epoch: number, frame: next.header.number)))
            (frames, end) = (next.header.number, next.offset)
        }
        for range in ranges {
            guard let found = LogFrame.records(in: bytes[range.records]) else {
                throw LogCorruption.malformedRecords(path: file.path, offset: range.offset)
            }
            whole.append(
                RecoveredFrame(
                    path: file.path, offset: range.offset,
                    position: LogPosition(epoch: number, frame: range.number), records: found))
        }
        if let salt, LogFrame.decode(bytes, at: end, salt: salt) == nil,
            let claimed = LogFrame.claimedFrame(bytes, at: end, salt: salt)
        {
            let count = min(claimed.records.upperBound, bytes.count) - end
            findings.append(.incompleteFrame(path: file.path, offset: end, bytes: count))
        }
    }

    /// The frame at `end`, if it comes next; corrected if one bit of it is wrong.
    private mutating func frame(
        in bytes: inout [UInt8], of file: DiskFile, newerThan checkpointed: UInt64, salt: LogSalt?
    ) -> (header: LogFrame.Header, records: Range<Int>)? {
        var corrected: Int?
        if let salt, LogFrame.decode(bytes, at: end, salt: salt) == nil {
            corrected = LogFrame.correctBit(in: &bytes, at: end, salt: salt)
        }
        guard let frame = LogFrame.decode(bytes, at: end, salt: salt),
            frame.header.epoch > checkpointed, frame.header.number == frames,
            number == 0 || frame.header.epoch == number
        else { return nil }
        if let corrected { findings.append(.correctedBit(path: file.path, byte: corrected)) }
        return frame
    }
}

/// What the files of a log have that is newer than the tables.
package struct LogContents {
    /// In the order in which they were appended.
    package private(set) var frames: [RecoveredFrame] = []
    package private(set) var gaps: [LogGap] = []
    package private(set) var findings: [LogFinding] = []
    /// The newest epoch; nil if there is none.
    let newestEpoch: UInt64?
    /// Where the frames of each file end.
    let ends: [Int]

    package var records: [ArraySlice<UInt8>] { frames.flatMap(\.records) }

    static let fileNames = ["1.log", "2.log"]

    /// Reads a log without changing anything. Files that are missing are empty.
    package init(
        reading directory: String, checkpointedEpoch: UInt64, salt: LogSalt?
    ) throws {
        let files = try Self.fileNames.compactMap { name -> DiskFile? in
            do throws(FileError) {
                return try DiskFile(directory + "/" + name, for: .reading)
            } catch {
                guard error.isAbsent else { throw error }
                return nil
            }
        }
        try self.init(files, directory, checkpointedEpoch: checkpointedEpoch, salt: salt)
    }

    /// Throws `LogCorruption` if it can't be known which frames are missing.
    init(
        _ files: [DiskFile], _ directory: String, checkpointedEpoch: UInt64, salt: LogSalt?
    ) throws {
        let found = try files.map {
            try RecoveredEpoch(in: $0, newerThan: checkpointedEpoch, salt: salt)
        }
        ends = found.map(\.end)
        let epochs = found.filter { $0.frames > 0 }.sorted { $0.number < $1.number }
        newestEpoch = epochs.last?.number
        gaps = epochs.flatMap(\.gaps)
        if let newer = epochs.last, newer.previousFrames > 0,
            newer.number - 1 > checkpointedEpoch
        {
            guard epochs.count == 2, let older = epochs.first, older.number + 1 == newer.number,
                older.frames <= newer.previousFrames, let next = newer.whole.first
            else { throw LogCorruption.framesMissing(directory: directory) }
            if older.frames < newer.previousFrames {
                gaps.append(
                    LogGap(
                        path: older.path, offset: older.end,
                        first: LogPosition(epoch: older.number, frame: older.frames),
                        frames: newer.previousFrames - older.frames, next: next.position))
            }
        } else if epochs.count > 1 {
            throw LogCorruption.framesMissing(directory: directory)
        }
        frames = epochs.flatMap(\.whole)
        findings = found.flatMap(\.findings)
    }
}
