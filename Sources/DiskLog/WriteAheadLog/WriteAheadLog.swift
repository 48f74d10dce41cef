// Theory of operation
//
// The write-ahead log makes small records durable: each append writes one frame of records to a
// file and syncs it once. The owner of the log keeps the records in memory too, moves them to its
// tables later (the log's checkpoint), and notes in its tables the newest epoch that is there as a
// whole.
//
//     1.log   [ frame 0 | frame 1 | ... | frame n ]  epoch e        its records move to the tables
//     2.log   [ frame 0 | frame 1 | ...  zeros    ]  epoch e + 1    appends go here
//
// Two files take turns, one epoch each. While one fills, the records of the other move to the
// tables; then the other file is overwritten from its start in the next epoch. Overwriting and
// syncing bytes that exist takes about half the time of growing a file, because the file system
// has no metadata to write.
//
// Recovery reads the epochs that the tables do not have. The newest frame may be torn: its callers
// were never answered, so the scan ends there. A frame that is wrong before frames that are right,
// or before a newer epoch, was damaged after it was synced. If one bit is wrong, it is corrected.
// Otherwise there is a gap, and the owner says whether it can be known what was in it: for that
// each frame can have a preamble of the owner's, about the frames before.
//
// What recovery reads may be in the page cache alone: a process that was killed before it synced a
// frame leaves it there, and so does a sync that failed. So nobody may be told of these records
// before they are durable: the owner moves them to its tables, and begins an epoch. A sync of the
// files would not do, because after a failed one the kernel takes the pages for clean.
//
// Each frame has the salt of the log's owner, so that no record's bytes can pass for a frame.

/// The bounds of a log file.
package struct WriteAheadLogLimits: Sendable {
    /// A file is full when it has this many bytes, or this many records.
    package var fileBytesMax: Int
    package var fileRecordsMax: Int

    package init(fileBytesMax: Int, fileRecordsMax: Int) {
        self.fileBytesMax = fileBytesMax
        self.fileRecordsMax = fileRecordsMax
    }
}

/// What an append has written.
package struct LogAppend: Equatable, Sendable {
    package var epoch: UInt64
    /// 0 for `1.log`, 1 for `2.log`.
    package var file: Int
    package var offset: Int
    package var bytes: [UInt8]

    /// Where the frame lies in its file.
    package var range: Range<Int> { offset..<offset + bytes.count }

    package init(epoch: UInt64, file: Int, offset: Int, bytes: [UInt8]) {
        self.epoch = epoch
        self.file = file
        self.offset = offset
        self.bytes = bytes
    }
}

/// Where a frame stands: frames rise within an epoch, and epochs rise.
package struct LogPosition: Equatable, Sendable {
    package var epoch: UInt64
    package var frame: UInt64

    package init(epoch: UInt64, frame: UInt64) {
        self.epoch = epoch
        self.frame = frame
    }
}

/// A write-ahead log of opaque records, in two files that take turns.
package struct WriteAheadLog: Sendable {
    private struct File {
        let file: DiskFile
        /// How far the file has been written, zeros included.
        var size: Int
    }

    private var files: [File]
    private let limits: WriteAheadLogLimits
    private let faults: FaultInjection
    /// The index of the file that appends go to.
    private var current = 0
    /// The epoch of the current file.
    package private(set) var epoch: UInt64
    /// Frames and records in the current file, and where the next frame begins.
    private var frames: UInt64 = 0
    private var records = 0
    private var end = 0
    /// Frames of the epoch before. Each header repeats it, so that a lost file is noticed.
    private var previousFrames: UInt64 = 0
    /// Whether records were found when the log was opened. Then both files may hold records that
    /// are not in the tables, and nothing is appended before they are.
    package private(set) var holdsRecovered: Bool
    /// Where the recovered frames of each file end.
    private let recoveredEnds: [Int]
    /// nil until the owner has given one: then nothing can be appended.
    private var salt: LogSalt?

    /// A file grows by this many zeros at a time, so that most frames overwrite existing bytes.
    package static let growthBytes = 256 << 10
    /// The zeros are written page by page: the kernel keeps what was written at once as one piece,
    /// and would count all of it as dirty again for each frame in it.
    private static let zeroPage = [UInt8](repeating: 0, count: 4096)

    /// A log after recovery.
    package struct Recovered {
        package var log: WriteAheadLog
        /// What was found in all epochs newer than those that are in the tables.
        package var contents: LogContents
        package var records: [ArraySlice<UInt8>] { contents.records }
        package var findings: [LogFinding] { contents.findings }
    }

    /// Opens the log, creating its files if need be, and reads the records of all epochs newer than
    /// `checkpointedEpoch`.
    ///
    /// Throws `LogCorruption` if frames are missing and nobody can say which, `FileError` if a call
    /// fails. Frames that are missing between others are in the contents' gaps: the caller must
    /// find out what was in them, or not go on.
    /// - Parameter salt: nil if the log has none yet: its frames, if any, are of schema version 3
    ///   or older.
    package static func open(
        _ directory: String, checkpointedEpoch: UInt64, salt: LogSalt?,
        limits: WriteAheadLogLimits, faults: FaultInjection
    ) throws -> Recovered {
        try DiskFile.makeDirectory(directory)
        let files = try LogContents.fileNames.map {
            try DiskFile(directory + "/" + $0, for: .creatingIfAbsent)
        }
        try DiskFile.syncDirectory(directory)
        // The directory's own name, whichever process has made it.
        try DiskFile.syncDirectory(DiskFile.parent(of: directory))
        let contents = try LogContents(
            files, directory, checkpointedEpoch: checkpointedEpoch, salt: salt)
        let log = WriteAheadLog(
            files: try files.map { File(file: $0, size: try $0.size()) }, limits: limits,
            faults: faults, epoch: contents.newestEpoch ?? checkpointedEpoch + 1,
            holdsRecovered: contents.newestEpoch != nil, recoveredEnds: contents.ends, salt: salt)
        return Recovered(log: log, contents: contents)
    }

    /// Writes what was recovered once more to its place and returns when it is durable, where the
    /// tables can't take it. It stays in the log until they can.
    package func rewriteRecovered() throws {
        for (file, end) in zip(files, recoveredEnds) where end > 0 {
            let bytes = try file.file.readAll()
            try file.file.write(Array(bytes[..<end]), at: 0)
            try file.file.sync()
        }
    }

    /// Whether the log needs a salt with the next epoch.
    package var needsSalt: Bool { salt == nil || holdsRecovered }

    /// Whether `beginEpoch` must be called before the next append.
    package var isFull: Bool {
        needsSalt || end >= limits.fileBytesMax || records >= limits.fileRecordsMax
    }

    /// The position of the next frame.
    package var position: LogPosition { LogPosition(epoch: epoch, frame: frames) }

    /// The newest epoch whose records the tables must have before `beginEpoch`.
    package var epochToCheckpoint: UInt64 { holdsRecovered ? epoch : epoch - 1 }

    /// The fraction of the current file that is filled.
    package var fractionFilled: Double {
        max(
            Double(end) / Double(limits.fileBytesMax),
            Double(records) / Double(limits.fileRecordsMax))
    }

    /// Starts the next epoch at the beginning of the other file; an epoch without records goes on.
    /// The tables must have, durably, all records up to `epochToCheckpoint`, and say so.
    /// - Parameter salt: That of the frames from now on, which the tables must have too; nil to
    ///   keep the one before.
    package mutating func beginEpoch(salt: LogSalt? = nil) {
        precondition(salt != nil || !needsSalt, "the log has no salt of its own")
        self.salt = salt ?? self.salt
        guard holdsRecovered || frames > 0 else { return }
        previousFrames = holdsRecovered ? 0 : frames
        epoch += 1
        current = 1 - current
        frames = 0
        records = 0
        end = 0
        holdsRecovered = false
    }

    /// Appends the records in one frame and returns when they are durable. After any error but a
    /// failed sync the log is as it was.
    /// - Parameter preamble: A record before them that counts as none; empty for none.
    /// - Returns: The frame and its place.
    @discardableResult
    package mutating func append(
        _ appended: [[UInt8]], preamble: [UInt8] = []
    ) throws(FileError) -> LogAppend {
        let header = LogFrame.Header(
            epoch: epoch, number: frames, previousFrames: previousFrames)
        guard let salt else { preconditionFailure("a frame needs a salt") }
        let frame = LogFrame.encode(
            header, preamble.isEmpty ? appended : [preamble] + appended, salt: salt)
        let file = files[current].file
        try faults.pass(.logWrite, file.path)
        let range = end..<end + frame.count
        try grow(to: range.upperBound)
        try file.write(frame, at: end)
        try faults.pass(.logSync, file.path)
        try file.sync()
        end = range.upperBound
        frames += 1
        records += appended.count
        return LogAppend(epoch: epoch, file: current, offset: range.lowerBound, bytes: frame)
    }

    /// Writes zeros until the current file has at least `needed` bytes.
    private mutating func grow(to needed: Int) throws(FileError) {
        guard needed > files[current].size else { return }
        let steps = (needed + Self.growthBytes - 1) / Self.growthBytes
        while files[current].size < steps * Self.growthBytes {
            try files[current].file.write(Self.zeroPage, at: files[current].size)
            files[current].size += Self.zeroPage.count
        }
    }

    /// Truncates both files. The tables must have all records, and say so.
    package mutating func truncate() throws(FileError) {
        for index in files.indices {
            try files[index].file.truncate(to: 0)
            files[index].size = 0
        }
    }
}
