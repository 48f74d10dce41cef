import DiskLog
import Foundation
import GRDB
public import SessionModel
import Synchronization

/// A data directory, or a backup, that no daemon has open, whatever state it is in. It is read and
/// never changed: the tables are read from a copy, which SQLite can recover, and the rest in its
/// place.
public final class InspectedStore: Sendable {
    public let directory: String
    let segments: SegmentDirectory
    let queue: DatabaseQueue
    /// What was found wrong before the tables could be read.
    let findings: [StoreFinding]
    private let scratch: String
    /// Held as long as this lives, so that no daemon starts.
    private let lock: DiskFile?

    /// Throws `.inUse` when a daemon has the directory open, `.failed` when there is no store or it
    /// can't be read, and `.incompatible` when a newer program made it. Throws `.corrupt` if the
    /// tables can't be read at all.
    /// - Parameter correcting: Whether a bit of SQLite's WAL that is known to be wrong is corrected
    ///   in the copy, so that the commits behind it are seen.
    public convenience init(_ directory: String, correcting: Bool = false) throws(StoreError) {
        do {
            try self.init(opening: directory, correcting: correcting)
        } catch {
            throw StoreFailure(error, directory: directory).ofReading
        }
    }

    private init(opening directory: String, correcting: Bool) throws {
        self.directory = directory
        let files = FileManager.default
        let tables = directory + "/" + StoreFinding.tables
        guard files.fileExists(atPath: tables) else {
            throw StoreError.failed("there is no store in \(directory)")
        }
        let isBackup = files.fileExists(atPath: StoreBackup.mark(in: directory))
        if isBackup {
            try StoreBackup.checkMark(of: directory)
            lock = nil
        } else {
            let lock = try DiskFile(directory + "/lock", for: .reading)
            guard try lock.lockShared() else {
                throw StoreError.inUse("the store in \(directory) is in use by another process")
            }
            self.lock = lock
        }
        segments = SegmentDirectory(
            directory + "/segments", faults: FaultInjection(faults: nil))
        scratch = files.temporaryDirectory.appending(path: "lbfgsd-\(UUID().uuidString)").path
        try DiskFile.makeDirectory(scratch)
        do {
            (queue, findings) = try Self.open(
                tables, copiedTo: scratch + "/" + StoreFinding.tables, correcting: correcting)
        } catch {
            try? files.removeItem(atPath: scratch)
            throw error
        }
    }

    deinit {
        try? queue.close()
        try? FileManager.default.removeItem(atPath: scratch)
    }

    private static func open(
        _ tables: String, copiedTo copy: String, correcting: Bool
    ) throws -> (DatabaseQueue, [StoreFinding]) {
        let wal = tables + "-wal"
        guard let damage = try WALInspection.damage(at: wal) else {
            return (try connect(to: tables, copiedTo: copy), [])
        }
        let findings = [
            StoreFinding(
                file: StoreFinding.tables + "-wal",
                offset: damage.flipped?.offset ?? damage.offset,
                what: damage.candidates.isEmpty
                    ? "a frame is not what was synced" : "a bit has changed")
        ]
        let corrections =
            correcting ? try WALInspection.corrections(of: damage, in: wal, of: tables) : []
        // If nobody knows which bit it was, the schema may tell.
        for correction in corrections.count > 1 ? corrections[...] : [] {
            let queue = try? connect(to: tables, copiedTo: copy) {
                try WALInspection.apply(correction, of: damage, to: copy + "-wal")
            }
            guard let queue else { continue }
            let differences = try? queue.writeWithoutTransaction {
                try Schema.differences(in: $0)
            }
            if differences == [] { return (queue, findings) }
            try queue.close()
        }
        let queue = try connect(to: tables, copiedTo: copy) {
            guard let correction = corrections.first else { return }
            try WALInspection.apply(correction, of: damage, to: copy + "-wal")
        }
        return (queue, findings)
    }

    private static func connect(
        to tables: String, copiedTo copy: String, preparing prepare: () throws -> Void = {}
    ) throws -> DatabaseQueue {
        let files = FileManager.default
        for suffix in ["", "-wal", "-shm"] where files.fileExists(atPath: copy + suffix) {
            try files.removeItem(atPath: copy + suffix)
        }
        for suffix in ["", "-wal"] where files.fileExists(atPath: tables + suffix) {
            try files.copyItem(atPath: tables + suffix, toPath: copy + suffix)
            // The copy may have another mode than what SQLite needs to recover it.
            try files.setAttributes([.posixPermissions: 0o600], ofItemAtPath: copy + suffix)
        }
        try prepare()
        var configuration = Configuration()
        configuration.prepareDatabase { database in
            try database.execute(sql: "PRAGMA mmap_size = 0")
            try database.execute(sql: "PRAGMA cell_size_check = ON")
            try database.execute(sql: "PRAGMA trusted_schema = OFF")
            try database.execute(sql: "PRAGMA synchronous = OFF")
        }
        do {
            let queue = try DatabaseQueue(path: copy, configuration: configuration)
            try queue.writeWithoutTransaction(Schema.prepare)
            return queue
        } catch let error as DatabaseError where error.resultCode == .SQLITE_NOTADB {
            throw StoreError.corrupt("\(tables) is not an SQLite database")
        }
    }

    /// Runs `body` on the copy of the tables.
    func read<Value>(_ body: (ReadTransaction) throws -> Value) throws(StoreError) -> Value {
        do {
            return try queue.inDatabase { database in
                try body(ReadTransaction(database: database, segments: segments))
            }
        } catch {
            throw StoreFailure(error, directory: directory).ofReading
        }
    }

    /// The path of a file relative to the directory.
    func relative(_ path: String) -> String {
        path.hasPrefix(directory + "/") ? String(path.dropFirst(directory.count + 1)) : path
    }

    // MARK: Sessions

    /// All sessions whose identifiers can be read, the oldest first.
    public func sessions() throws(StoreError) -> [SessionID] {
        try read { tables in
            func identifiers(_ order: String) throws -> [SessionID] {
                try tables.database.rows(
                    sql: "SELECT public_id FROM session ORDER BY \(order)"
                ).compactMap { if case .text(let text) = $0[0] { SessionID(text) } else { nil } }
            }
            // Either the table or its index, which has the identifiers too.
            do {
                return try identifiers("id")
            } catch {
                return try identifiers("public_id")
            }
        }
    }

    /// Gives a directory that was made of this one its owner and its name, durably.
    public func complete(_ made: String, as name: String) throws(StoreError) {
        do {
            for path in try FileManager.default.subpathsOfDirectory(atPath: made)
            where geteuid() == 0 {
                try DiskFile.giveToOwner(of: directory, made + "/" + path)
            }
            if geteuid() == 0 { try DiskFile.giveToOwner(of: directory, made) }
            try DiskFile.syncDirectory(made)
            try DiskFile.rename(made, to: name)
            try DiskFile.syncDirectory(DiskFile.parent(of: name))
        } catch {
            throw StoreFailure(error, directory: name).ofReading
        }
    }

    /// What is replayed of a session: a stretch for each of its snapshots, from the oldest to the
    /// newest. Vectors and long payloads are read when they are needed.
    public func stretches(
        of session: SessionID
    ) throws(StoreError) -> (record: SessionRecord, stretches: [StoredStretch]) {
        do throws(StoreError) {
            return try read { tables in
                let row = try tables.session(session)
                let logged = try log(tables).entries(of: session)
                return (row.record, try tables.stretches(of: row, logged: logged))
            }
        } catch {
            throw error.naming(session)
        }
    }

    private let journal = Mutex<LoggedJournal?>(nil)

    /// The log, which is read once.
    func log(_ tables: ReadTransaction) throws -> LoggedJournal {
        if let journal = journal.withLock({ $0 }) { return journal }
        let read = try LoggedJournal(directory + "/journal", tables)
        journal.withLock { $0 = read }
        return read
    }
}

/// The entries of the write-ahead log, laid over the tables.
struct LoggedJournal: Sendable {
    let contents: LogContents?
    /// Why the log can't be read.
    let failure: String?
    let memtable: EntryMemtable

    init(_ directory: String, _ tables: ReadTransaction) throws {
        do {
            let store = try tables.database.storeRow()
            let found = try LogContents(
                reading: directory, checkpointedEpoch: store.checkpointedEpoch,
                salt: LogSalt(store.logSalt))
            let laidOver = try EntryMemtable(
                recovering: RecoveredJournal(found), missingIn: tables)
            (contents, memtable, failure) = (found, laidOver, nil)
        } catch {
            guard case .corrupt(let what) = StoreFailure(error, directory: directory).ofReading
            else { throw error }
            (contents, memtable, failure) = (nil, EntryMemtable(), what)
        }
    }

    /// Throws `.corrupt` if the session's entries can't be laid over the tables.
    func entries(of session: SessionID) throws(StoreError) -> [JournalEntry] {
        try memtable.check(session)
        return memtable.entries(of: session)
    }
}

extension ReadTransaction {
    func stretches(of row: SessionRow, logged: [JournalEntry]) throws -> [StoredStretch] {
        let newest = try newestEntry(row.id)
        let snapshots = try database.rows(.snapshots, [row.id]).map(SnapshotRow.init)
        // Of two with equal sequences the larger identifier counts.
        var bySequence: [SequenceNumber: SnapshotRow] = [:]
        for snapshot in snapshots {
            if let other = bySequence[snapshot.sequence], other.id > snapshot.id { continue }
            bySequence[snapshot.sequence] = snapshot
        }
        let ordered = bySequence.values.sorted { $0.sequence < $1.sequence }
        guard let last = ordered.last else {
            throw StoreError.corrupt("session \(row.record.id) has no snapshot")
        }
        let checkpoints = try database.rows(
            .checkpointsBelow, [row.id, Int.max, Int.max]
        ).map(CheckpointRecord.init)
        return try ordered.enumerated().map { index, snapshot in
            let next = index + 1 < ordered.count ? ordered[index + 1].sequence : Int.max
            let own = checkpoints.filter { snapshot.sequence..<next ~= $0.sequence }
            var tail: [JournalEntry]
            if snapshot.sequence == last.sequence {
                tail = try entries(row.id, after: snapshot.sequence, through: newest.sequence)
                tail += try logged.following(newest.sequence, of: row.record.id)
            } else {
                let end = own.map(\.sequence).max() ?? snapshot.sequence
                tail = try entries(row.id, after: snapshot.sequence, through: end)
            }
            return StoredStretch(
                snapshot: try stored(snapshot), tail: tail,
                checkpoints: own.sorted { $0.sequence < $1.sequence })
        }
    }
}
