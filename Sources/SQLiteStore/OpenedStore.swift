import DiskLog
import GRDB
import SessionModel

/// The parts of an open store. Opened on a thread that may block.
struct OpenedStore: Sendable {
    let directory: StoreDirectory
    let pool: DatabasePool
    let segments: SegmentLog
    let log: WriteAheadLog
    let schedule: LogCheckpointSchedule
    let memtable: EntryMemtable
    /// The number of the newest staged segment, 0 if there is none.
    let newestStagedSegment: Int64
    let puncher: HolePuncher

    init(_ path: String, limits: SQLiteStoreLimits, faults: FaultInjection) throws {
        let directory = try StoreDirectory(path)
        self.directory = directory
        try Self.prepareSchema(directory.database)
        let segmentDirectory = SegmentDirectory(directory.segments, faults: faults)
        let puncher = HolePuncher(directory: segmentDirectory)
        self.puncher = puncher
        pool = try DatabasePool(
            path: directory.database, configuration: Self.configuration(limits))
        (segments, newestStagedSegment, log, memtable, schedule) =
            try pool.writeWithoutTransaction { database in
                // GRDB's pool sets NORMAL, under which a power loss loses acknowledged commits.
                try database.execute(sql: "PRAGMA synchronous = FULL")
                // 16 MiB rather than 2: each session that is told needs a page of an index.
                try database.execute(sql: "PRAGMA cache_size = -16384")
                // The committer checkpoints the WAL itself, and checks the result.
                try database.execute(sql: "PRAGMA wal_autocheckpoint = 0")
                // A WAL that has been long is truncated when it starts over: four times its usual
                // size, so that this is rare.
                let usual = limits.walPagesBeforeCheckpoint.multipliedReportingOverflow(
                    by: 4096 * 4)
                try database.execute(
                    sql: "PRAGMA journal_size_limit = \(usual.overflow ? -1 : usual.partialValue)")
                let indexed = try SegmentIndex.recover(in: database)
                let segments = try SegmentLog(
                    recovering: segmentDirectory, indexed: indexed, bytesMax: limits.segmentBytesMax
                )
                for hole in try SegmentIndex.openHoles(in: database) {
                    puncher.add(Punch(part: hole.range, hole: hole))
                }
                let epoch = try Int64.fetchOne(database, sql: "SELECT moved FROM store") ?? 0
                let (log, records) = try WriteAheadLog.open(
                    directory.journal, checkpointedEpoch: UInt64(epoch), limits: limits.log,
                    faults: faults)
                let memtable = try EntryMemtable(
                    recovering: try records.map { try LoggedEntry(record: $0) },
                    missingIn: ReadTransaction(database: database, segments: segmentDirectory))
                let schedule = LogCheckpointSchedule(
                    unflushed: Set(memtable.all.keys), position: log.position)
                let newestStaged = min(indexed.first?.number ?? 0, 0)
                return (segments, newestStaged, log, memtable, schedule)
            }
    }

    /// Checks the file with a connection of its own first: opening the pool would change the
    /// journal mode of another program's database.
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
        // A truncating checkpoint waits this long for readers; there is no second writer.
        configuration.busyMode = .timeout(1)
        configuration.prepareDatabase { database in
            // An I/O error on a mapped page kills the process instead of failing the read.
            try database.execute(sql: "PRAGMA mmap_size = 0")
            try database.execute(sql: "PRAGMA cell_size_check = ON")
            try database.execute(sql: "PRAGMA trusted_schema = OFF")
        }
        return configuration
    }
}
