import SessionModel

/// Where an entry that comes alone, as nearly all do, is made durable: appended to a file with what
/// else has come in the meantime, and synced once.
///
/// In SQLite the same takes a page for each session that is told, and that page again when the
/// write-ahead log is copied back; here it takes the entry's own bytes. The entries go to the
/// tables later: a session's all at once, with its next snapshot (then without the gradients, which
/// nothing replays any more) or when the log's room is wanted again.
///
/// Two files take turns. While one fills, what is in the other is moved to the tables; when that is
/// done the other is written over from its start, and so on. Bytes that were written once are
/// written over and synced in about half the time of new ones, since the file system has nothing to
/// note.
///
/// What is in a file is of one generation, and the tables know up to which they have all. After a
/// crash the newest frame may be torn, which nobody was told of. A frame that is wrong before
/// others that are right, or before a newer generation, was damaged later: the store doesn't open.
struct EntryLog {
    private let files: [DiskFile]
    private let limits: SQLiteStoreLimits
    private let faults: FaultInjection
    /// How far each file has been written.
    private var sizes: [Int]
    private var filling = 0
    private var frames: UInt64 = 0
    /// Frames of the generation before.
    private var formerFrames: UInt64 = 0
    private var entries = 0
    private var end = 0
    /// Of the file that fills.
    private(set) var generation: UInt64
    /// Whether entries were found when the log was opened: then both files are taken.
    private var isFound: Bool

    /// A file grows by steps of this, of zeros, so that most frames are written over something.
    private static let step = 256 << 10
    /// Zeros are written by the page: the kernel keeps what was written at once as one piece, and
    /// would count all of it as written again for each frame in it.
    private static let zeros = [UInt8](repeating: 0, count: 4096)

    /// Opens the log and reads all of it that is newer than `moved`, the generation up to which the
    /// tables have everything.
    static func open(
        _ directory: String, moved: UInt64, limits: SQLiteStoreLimits, faults: FaultInjection
    ) throws -> (log: EntryLog, found: [LoggedEntry]) {
        try DiskFile.makeDirectory(directory)
        let files = try ["1.log", "2.log"].map {
            try DiskFile(directory + "/" + $0, for: .creatingIfAbsent)
        }
        try DiskFile.syncDirectory(directory)
        let generations = try files.map { try LogGeneration(in: $0, newerThan: moved) }
            .filter { $0.number > moved }
            .sorted { $0.number < $1.number }
        if let older = generations.first, let newer = generations.dropFirst().first {
            guard older.number + 1 == newer.number, older.frames == newer.formerFrames else {
                throw StoreError.corrupt("frames are missing in \(directory)")
            }
        }
        let log = EntryLog(
            files: files, limits: limits, faults: faults, sizes: try files.map { try $0.size() },
            generation: generations.last?.number ?? moved + 1, isFound: !generations.isEmpty)
        return (log, generations.flatMap(\.entries))
    }

    /// Whether the next frame needs a turn first.
    var isFull: Bool {
        isFound || end >= limits.logFileBytesMax || entries >= limits.logFileEntriesMax
    }

    /// Grows with each frame.
    var position: Position { Position(generation: generation, frames: frames) }

    struct Position: Equatable {
        var generation: UInt64
        var frames: UInt64
    }

    /// The newest generation that isn't needed once nothing is outstanding.
    var movable: UInt64 { isFound ? generation : generation - 1 }

    /// The part of the file that has filled.
    var filled: Double {
        max(
            Double(end) / Double(limits.logFileBytesMax),
            Double(entries) / Double(limits.logFileEntriesMax))
    }

    /// Begins the other file anew. Everything in it must be in the tables, and these must say so.
    mutating func turn() {
        formerFrames = isFound ? 0 : frames
        generation += 1
        filling = 1 - filling
        frames = 0
        entries = 0
        end = 0
        isFound = false
    }

    /// Returns when the records are durable, all of them in one frame. After an error other than
    /// one of syncing the log is as it was.
    mutating func append(_ records: some Collection<[UInt8]>) throws {
        let header = LogFrame.Header(
            generation: generation, number: frames, formerFrames: formerFrames)
        let frame = LogFrame.frame(header, records)
        let file = files[filling]
        try faults.pass(.logWrite, file.path)
        let needed = end + frame.count
        if needed > sizes[filling] {
            let size = (needed + EntryLog.step - 1) / EntryLog.step * EntryLog.step
            while sizes[filling] < size {
                // Sound: the buffer is used within the call, here and below.
                try unsafe EntryLog.zeros.withUnsafeBytes {
                    try unsafe file.write($0, at: sizes[filling])
                }
                sizes[filling] += EntryLog.zeros.count
            }
        }
        try unsafe frame.withUnsafeBytes { try unsafe file.write($0, at: end) }
        try faults.pass(.logSync, file.path)
        try file.sync()
        end = needed
        frames += 1
        entries += records.count
    }

    /// Gives the files' room back. The tables must have everything, and say so.
    mutating func clear() throws {
        for file in files { try file.truncate(to: 0) }
        sizes = [0, 0]
    }
}
