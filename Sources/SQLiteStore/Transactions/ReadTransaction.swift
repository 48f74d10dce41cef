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
        guard let result = try database.rows(.session, [id.rawValue]).first else {
            throw StoreError.missing
        }
        // The index's word is not enough: what follows may write to the session or delete it.
        let row = try ChecksummedRow<SessionColumn>(result)
        guard try row.text(.publicId) == id.rawValue else {
            throw StoreError.corrupt("an index leads from session \(id) to another")
        }
        return try row.int64(.id)
    }

    /// The same for a session whose row may be damaged. The index and the row must agree.
    func rowIDOfDamaged(_ id: SessionID) throws -> Int64 {
        do {
            return try rowID(id)
        } catch let error as StoreError {
            guard case .corrupt = error,
                let row = try database.integer(.sessionInIndex, [id.rawValue]),
                try database.rows(.sessionName, [row]).first?[0] == .text(id.rawValue)
            else { throw error }
            return row
        }
    }

    /// The identifier of a session whose row may be damaged; nil unless the index and the row
    /// agree.
    func identifier(ofDamaged row: Int64) throws -> SessionID? {
        guard case .text(let text)? = try database.rows(.sessionName, [row]).first?[0],
            let id = SessionID(text),
            try database.integer(.sessionInIndex, [id.rawValue]) == row
        else { return nil }
        return id
    }

    /// Throws `.missing`, and `.corrupt` if it can't be proved.
    func tenant(of id: SessionID) throws -> String {
        guard let result = try database.rows(.session, [id.rawValue]).first else {
            throw StoreError.missing
        }
        do {
            return try SessionRow(result).record.tenant
        } catch let error as StoreError {
            // Said twice: in the row, and in the index.
            let row = try rowIDOfDamaged(id)
            guard case .text(let tenant) = result[SessionColumn.tenant.rawValue],
                try database.integer(.tenantInIndex, [tenant, row]) != nil
            else { throw error }
            return tenant
        }
    }

    /// Whether a session that is not there has been deleted since the log has entries of it.
    func wasDeleted(_ id: SessionID) throws -> Bool {
        for name in [id.rawValue, TombstoneColumn.unknownSessions] {
            guard let result = try database.rows(.tombstone, [name]).first else { continue }
            _ = try ChecksummedRow<TombstoneColumn>(result)
            return true
        }
        return false
    }

    /// Throws `.corrupt` if there is none.
    func entryCounts(_ session: Int64) throws -> EntryCountsRow {
        guard let row = try database.rows(.entryCounts, [session]).first else {
            throw StoreError.corrupt("a session has no count of its entries")
        }
        return try EntryCountsRow(row)
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
            + logged.following(newest.sequence, of: id)
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
    func entries(
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

    func stored(_ row: SnapshotRow) throws -> StoredSnapshot {
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
