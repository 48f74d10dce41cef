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
    /// What recovery met that did not keep the store from opening.
    let findings: [String]

    init(_ path: String, limits: SQLiteStoreLimits, faults: FaultInjection) throws {
        let directory = try StoreDirectory(path)
        self.directory = directory
        let wal = directory.database + "-wal"
        if let damage = try WALInspection.damage(at: wal) {
            throw StoreError.corrupt(damage.description)
        }
        try Self.makeDurable(wal)
        try Self.prepareSchema(directory.database)
        let segmentDirectory = SegmentDirectory(directory.segments, faults: faults)
        let puncher = HolePuncher(directory: segmentDirectory)
        self.puncher = puncher
        pool = try DatabasePool(
            path: directory.database, configuration: Self.configuration(limits))
        (segments, newestStagedSegment, log, memtable, schedule, findings) =
            try pool.writeWithoutTransaction { database in
                try Self.checkThatWALIsUsed(by: database)
                // GRDB's pool sets NORMAL, under which a power loss loses acknowledged commits.
                try database.execute(sql: "PRAGMA synchronous = FULL")
                // Nor has it synced the transaction that it just wrote to make a WAL. If the next
                // one followed without that, and a power loss kept the next and tore this, it would
                // look like damage to what was synced.
                try DiskFile(wal, for: .writing).sync()
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
                    recovering: segmentDirectory, indexed: indexed.segments,
                    isIndexWhole: indexed.isWhole, bytesMax: limits.segmentBytesMax,
                    lost: LostSegments(directory.lost))
                for hole in try SegmentIndex.openHoles(in: database) {
                    puncher.add(Punch(part: hole.range, hole: hole))
                }
                let store = try database.storeRow()
                let recovered = try WriteAheadLog.open(
                    directory.journal, checkpointedEpoch: store.checkpointedEpoch,
                    salt: LogSalt(store.logSalt), limits: limits.log, faults: faults)
                let log = recovered.log
                let memtable = try EntryMemtable(
                    recovering: RecoveredJournal(recovered.contents),
                    missingIn: ReadTransaction(database: database, segments: segmentDirectory))
                let schedule = LogCheckpointSchedule(
                    unflushed: Set(memtable.all.keys), position: log.position)
                return (
                    segments, segments.newestStaged, log, memtable, schedule,
                    recovered.findings.map(\.description)
                        + recovered.contents.gaps.map(\.corruption.description)
                )
            }
    }

    /// Writes SQLite's WAL anew where it is, and syncs it, before SQLite copies it to the tables.
    ///
    /// A process whose sync failed leaves frames in the page cache that the kernel takes for
    /// written. SQLite's own sync would succeed without them, and a power loss in the middle of the
    /// copying leave a part of a transaction in the tables.
    private static func makeDurable(_ wal: String) throws {
        let file: DiskFile
        do throws(FileError) {
            file = try DiskFile(wal, for: .writing)
        } catch {
            guard error.isAbsent else { throw error }
            return
        }
        try file.write(file.readAll(), at: 0)
        try file.sync()
    }

    /// SQLite answers `wal` to the pool's request before it commits the switch. If that fails, it
    /// goes on with the rollback journal, whose removal it does not sync under FULL: after a power
    /// loss the journal is back, and takes an acknowledged transaction back.
    private static func checkThatWALIsUsed(by database: Database) throws {
        let mode = try String.fetchOne(database, sql: "PRAGMA journal_mode")
        guard mode == "wal" else {
            throw StoreError.failed(
                "SQLite did not switch to its WAL (its journal mode is \(mode ?? "unknown"))")
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
