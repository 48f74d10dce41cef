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
// or before a newer epoch, was damaged after it was synced, and the log does not open.

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
    private var holdsRecovered: Bool

    /// A file grows by this many zeros at a time, so that most frames overwrite existing bytes.
    private static let growthBytes = 256 << 10
    /// The zeros are written page by page: the kernel keeps what was written at once as one piece,
    /// and would count all of it as dirty again for each frame in it.
    private static let zeroPage = [UInt8](repeating: 0, count: 4096)

    /// Opens the log, creating its files if need be, and returns the records of all epochs newer
    /// than `checkpointedEpoch`, in the order in which they were appended.
    ///
    /// Throws `LogCorruption` if frames are damaged or missing, `FileError` if a call fails.
    package static func open(
        _ directory: String, checkpointedEpoch: UInt64, limits: WriteAheadLogLimits,
        faults: FaultInjection
    ) throws -> (log: WriteAheadLog, records: [ArraySlice<UInt8>]) {
        try DiskFile.makeDirectory(directory)
        let files = try ["1.log", "2.log"].map {
            try DiskFile(directory + "/" + $0, for: .creatingIfAbsent)
        }
        try DiskFile.syncDirectory(directory)
        let epochs = try files.compactMap {
            try RecoveredEpoch(in: $0, newerThan: checkpointedEpoch)
        }.sorted { $0.number < $1.number }
        if let older = epochs.first, let newer = epochs.dropFirst().first {
            guard older.number + 1 == newer.number, older.frames == newer.previousFrames else {
                throw LogCorruption.framesMissing(directory: directory)
            }
        }
        let log = WriteAheadLog(
            files: try files.map { File(file: $0, size: try $0.size()) }, limits: limits,
            faults: faults, epoch: epochs.last?.number ?? checkpointedEpoch + 1,
            holdsRecovered: !epochs.isEmpty)
        return (log, epochs.flatMap(\.records))
    }

    /// Whether `beginEpoch` must be called before the next append.
    package var isFull: Bool {
        holdsRecovered || end >= limits.fileBytesMax || records >= limits.fileRecordsMax
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

    /// Starts the next epoch at the beginning of the other file. The tables must have, durably, all
    /// records up to `epochToCheckpoint`, and say so.
    package mutating func beginEpoch() {
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
    package mutating func append(_ appended: [[UInt8]]) throws(FileError) {
        let header = LogFrame.Header(
            epoch: epoch, number: frames, previousFrames: previousFrames)
        let frame = LogFrame.encode(header, appended)
        let file = files[current].file
        try faults.pass(.logWrite, file.path)
        let needed = end + frame.count
        try grow(to: needed)
        try file.write(frame, at: end)
        try faults.pass(.logSync, file.path)
        try file.sync()
        end = needed
        frames += 1
        records += appended.count
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
