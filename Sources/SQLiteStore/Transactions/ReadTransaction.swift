import GRDB
import SessionModel

/// One consistent view of the store. Short-lived: a reader that stays keeps the write-ahead log
/// from being reused.
struct ReadTransaction {
    let database: Database
    let segmentDirectory: String

    /// Throws `.missing`.
    func session(_ id: SessionID) throws -> SessionRow {
        guard let row = try database.rows(.session, [id.rawValue]).first else {
            throw StoreError.missing
        }
        return try SessionRow(row)
    }

    /// What names the session in other tables, without decoding its record. Throws `.missing`.
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
    /// - Parameter logged: Entries in the log, as of before this transaction; here as below.
    func load(_ id: SessionID, logged: [JournalEntry]) throws -> StoredSession {
        let row = try session(id)
        let newest = try newestEntry(row.id)
        guard let snapshot = try snapshot(row.id, atOrBelow: Int.max) else {
            throw StoreError.corrupt("session \(id) has no snapshot")
        }
        let tail =
            try entries(row.id, after: snapshot.sequence, through: newest.sequence)
            + logged.after(newest.sequence)
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

extension ReadTransaction {
    func summary(_ row: SessionRow, logged: [JournalEntry]) throws -> SessionSummary {
        let entry = try newestEntry(row.id)
        let newest = try logged.after(entry.sequence).last ?? entry
        return SessionSummary(
            record: row.record, status: newest.status, updatedAt: newest.time,
            sequence: newest.sequence)
    }

    func list(
        pageSize: Int, after token: PageToken?, label: (key: String, value: String)?,
        logged: [SessionID: [JournalEntry]]
    ) throws -> Page<SessionSummary> {
        let below = token?.below ?? .max
        // One more than asked for tells whether there is a next page.
        let rows =
            if let label {
                try database.rows(
                    .labelledSessionsBelow, [label.key, label.value, below, pageSize + 1])
            } else {
                try database.rows(.sessionsBelow, [below, pageSize + 1])
            }
        let sessions = try rows.prefix(pageSize).map(SessionRow.init)
        return Page(
            items: try sessions.map { try summary($0, logged: logged[$0.record.id] ?? []) },
            next: rows.count > pageSize ? sessions.last.map { PageToken(below: $0.id) } : nil)
    }

    func checkpoints(
        _ session: Int64, pageSize: Int, after token: PageToken?
    ) throws -> Page<CheckpointRecord> {
        let rows = try database.rows(
            .checkpointsBelow, [session, token?.below ?? .max, pageSize + 1])
        let records = try rows.prefix(pageSize).map(CheckpointRecord.init)
        return Page(
            items: records,
            next: rows.count > pageSize
                ? records.last.map { PageToken(below: Int64($0.number)) } : nil)
    }

    /// Entries that evaluations brought, from evaluation `first` on.
    func evaluated(
        _ session: Int64, from first: EvaluationNumber, limit: Int
    ) throws -> [JournalEntry] {
        let start = try sequence(session, reaching: first)
        let inRows = try database.rows(.eventsFromEvaluation, [session, start, first, limit]).map {
            try EventRow($0).entry
        }
        let chaptered = try chapters(session, from: first, count: limit).flatMap {
            $0.entries(from: first)
        }
        guard !chaptered.isEmpty else { return inRows }
        return Array((inRows + chaptered).sorted { $0.sequence < $1.sequence }.prefix(limit))
    }

    /// A place in the journal before which no entry tells evaluation `number` or a later one: where
    /// it had been asked for. Found by halving, since evaluations are asked for in order.
    private func sequence(
        _ session: Int64, reaching number: EvaluationNumber
    ) throws -> SequenceNumber {
        guard number > 1 else { return 0 }
        var low = 1
        var high = Int(try database.integer(.newestSequence, [session]) ?? 0) + 1
        while low < high {
            let middle = low + (high - low) / 2
            let asked = try database.integer(.evaluationsAsked, [session, middle])
            if let asked, asked < number { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
