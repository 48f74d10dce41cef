import GRDB
import SessionModel

/// What opening the directory gives; made on a thread that may block.
struct Opened: Sendable {
    let directory: StoreDirectory
    let pool: DatabasePool
    let segments: SegmentLog
    let entryLog: EntryLog
    let moves: LogMoves
    let pending: PendingEntries
    let puncher: HolePuncher

    init(_ path: String, limits: SQLiteStoreLimits, faults: FaultInjection) throws {
        let directory = try StoreDirectory(path)
        self.directory = directory
        try Opened.prepareSchema(directory.database)
        let puncher = HolePuncher(directory: directory.segments)
        self.puncher = puncher
        pool = try DatabasePool(
            path: directory.database, configuration: Opened.configuration(limits))
        (segments, entryLog, pending, moves) = try pool.writeWithoutTransaction { database in
            // GRDB's pool sets NORMAL, under which a power loss takes acknowledged commits.
            try database.execute(sql: "PRAGMA synchronous = FULL")
            // 16 MiB rather than 2: of each session that is told there is a page of an index to
            // be found again.
            try database.execute(sql: "PRAGMA cache_size = -16384")
            // The committer does it, and looks at the result.
            try database.execute(sql: "PRAGMA wal_autocheckpoint = 0")
            // A log that was long once is cut when it begins anew; more than twice what it usually
            // has, so that this is rare.
            let usual = limits.checkpointPages.multipliedReportingOverflow(by: 4096 * 4)
            try database.execute(
                sql: "PRAGMA journal_size_limit = \(usual.overflow ? -1 : usual.partialValue)")
            let segments = try SegmentLog(
                recovering: directory.segments, bytesMax: limits.segmentBytesMax, in: database,
                faults: faults, puncher: puncher)
            let moved = try Int64.fetchOne(database, sql: "SELECT moved FROM store") ?? 0
            let (log, found) = try EntryLog.open(
                directory.journal, moved: UInt64(moved), limits: limits, faults: faults)
            let reading = ReadTransaction(database: database, segmentDirectory: "")
            let pending = try PendingEntries(found, missingIn: reading)
            let moves = LogMoves(
                outstanding: Set(pending.all.keys), position: log.position)
            return (segments, log, pending, moves)
        }
    }

    /// Before anything else touches it, a connection of its own looks at the file: another
    /// program's database must not even be put into another journal mode.
    private static func prepareSchema(_ path: String) throws {
        do {
            let queue = try DatabaseQueue(path: path, configuration: Configuration())
            try queue.writeWithoutTransaction(Schema.prepare)
            try queue.close()
        } catch let error as DatabaseError where error.resultCode == .SQLITE_NOTADB {
            throw StoreError.incompatible("\(path) is not an SQLite database")
        }
    }

    private static func configuration(_ limits: SQLiteStoreLimits) -> Configuration {
        var configuration = Configuration()
        configuration.label = "lbfgsd.store"
        configuration.maximumReaderCount = limits.readersMax
        // For readers that a truncating checkpoint waits for; there is no second writer.
        configuration.busyMode = .timeout(1)
        configuration.prepareDatabase { database in
            // A mapped page that can't be read kills the process instead of failing the read.
            try database.execute(sql: "PRAGMA mmap_size = 0")
            try database.execute(sql: "PRAGMA cell_size_check = ON")
            try database.execute(sql: "PRAGMA trusted_schema = OFF")
        }
        return configuration
    }
}
