import DiskLog
import GRDB
import SessionModel

/// One consistent view of the tables. It must be short: an open reader keeps SQLite's WAL from
/// being overwritten.
struct ReadTransaction {
    let database: Database
    let segments: SegmentDirectory

    /// Throws `.missing`.
    func session(_ id: SessionID) throws -> SessionRow {
        guard let row = try database.rows(.session, [id.rawValue]).first else {
            throw StoreError.missing
        }
        return try SessionRow(row)
    }

    /// The rowid that names the session in other tables. Throws `.missing`.
    func rowID(_ id: SessionID) throws -> Int64 {
        guard let rowID = try database.integer(.sessionRowID, [id.rawValue]) else {
            throw StoreError.missing
        }
        return rowID
    }

    /// The newest snapshot of a session at or below an entry.
    func snapshot(_ session: Int64, atOrBelow sequence: SequenceNumber) throws -> SnapshotRow? {
        try database.rows(.snapshotAtOrBelow, [session, sequence]).first.map(SnapshotRow.init)
    }

    func step(_ session: Int64, number: StepNumber) throws -> StepRecord? {
        let newest = try newestStep(session, upTo: number)
        return newest?.number == number ? newest : nil
    }

    func newestStep(_ session: Int64, upTo number: StepNumber) throws -> StepRecord? {
        try database.rows(.step, [session, number]).first.map(StepRecord.init)
    }

    func idempotency(scope: String, key: String) throws -> IdempotencyRecord? {
        try database.rows(.idempotency, [scope, key]).first.map(IdempotencyRecord.init)
    }

    func newestEntry(_ session: Int64) throws -> JournalEntry {
        guard let row = try database.rows(.newestEvent, [session]).first else {
            throw StoreError.corrupt("a session has no journal")
        }
        return try EventRow(row).entry
    }
}

extension ReadTransaction {
    /// - Parameter logged: The session's entries in the memtable, copied before this transaction
    ///   began; likewise below.
    func load(_ id: SessionID, logged: [JournalEntry]) throws -> StoredSession {
        let row = try session(id)
        let newest = try newestEntry(row.id)
        guard let snapshot = try snapshot(row.id, atOrBelow: Int.max) else {
            throw StoreError.corrupt("session \(id) has no snapshot")
        }
        let tail =
            try entries(row.id, after: snapshot.sequence, through: newest.sequence)
            + logged.following(newest.sequence)
        return StoredSession(
            record: row.record, snapshot: try stored(snapshot), tail: tail,
            newest: tail.last ?? newest, lastStep: try newestStep(row.id, upTo: Int.max),
            nextCheckpoint: row.nextCheckpoint)
    }

    func load(_ id: SessionID, checkpoint number: CheckpointNumber) throws -> StoredCheckpoint {
        let session = try rowID(id)
        guard let row = try database.rows(.checkpoint, [session, number]).first else {
            throw StoreError.missing
        }
        let record = try CheckpointRecord(row)
        guard let snapshot = try snapshot(session, atOrBelow: record.sequence) else {
            throw StoreError.corrupt("checkpoint \(number) of \(id) has no snapshot below it")
        }
        return StoredCheckpoint(
            record: record, snapshot: try stored(snapshot),
            tail: try entries(session, after: snapshot.sequence, through: record.sequence))
    }

    /// Entries with their payloads; none may be missing.
    private func entries(
        _ session: Int64, after first: SequenceNumber, through last: SequenceNumber
    ) throws -> [JournalEntry] {
        let rows = try database.rows(.eventsBetween, [session, first, last])
        guard first <= last, rows.count == last - first else {
            throw StoreError.corrupt("the journal has \(rows.count) entries in \(first)...\(last)")
        }
        return try rows.map { row in
            let row = try EventRow(row)
            var entry = row.entry
            if let payload = row.payload { entry.payload = try octets(of: payload) }
            return entry
        }
    }

    private func stored(_ row: SnapshotRow) throws -> StoredSnapshot {
        var vectors: [VectorName: StoredSnapshot.StoredVector] = [:]
        for item in row.vectors.items {
            vectors[item.name] = .init(id: item.id, octets: try octets(of: item.id))
        }
        return StoredSnapshot(
            sequence: row.sequence, formatVersion: row.formatVersion,
            numericsVersion: row.numericsVersion, scalars: try bytes(of: row.scalars),
            vectors: vectors)
    }
}
