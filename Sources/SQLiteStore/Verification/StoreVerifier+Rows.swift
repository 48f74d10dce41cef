import DiskLog
import GRDB
import SessionModel

// The rows of sessions: each against its checksum, and against what it must agree with.

extension StoreVerifier {
    mutating func checkSessions() throws {
        var labels: [Int64: [String: String]] = [:]
        // A damaged row still says, most likely, what its session is called: only the names of
        // other findings come from it.
        for row in try tables.database.rows(sql: "SELECT id, public_id FROM session") {
            if case .text(let text) = row[1], let id = SessionID(text) {
                sessions[try row.int64(0)] = id
            }
        }
        try forEachRow(SessionColumn.self, session: .id) { verifier, rowID, row in
            let session = try SessionRow(row)
            guard session.id == rowID else {
                throw StoreError.corrupt("a row of session has another rowid than \(session.id)")
            }
            labels[rowID] = session.record.labels
        }
        var indexed: [Int64: [String: String]] = [:]
        for row in try tables.database.rows(sql: "SELECT session, key, value FROM session_label") {
            guard case .text(let key) = row[1], case .text(let value) = row[2] else { continue }
            indexed[try row.int64(0), default: [:]][key] = value
        }
        for (row, own) in labels where own != indexed[row] ?? [:] {
            found(sessions[row], what: "session_label differs from the session's labels")
        }
        for row in indexed.keys where sessions[row] == nil {
            found(what: "session_label has session \(row), which is not there")
        }
    }

    mutating func checkJournals() throws {
        try tables.database.execute(
            sql: """
                CREATE TEMP TABLE named (blob INTEGER NOT NULL, use TEXT NOT NULL);
                CREATE TEMP TABLE entry (
                    session INTEGER, sequence INTEGER, k INTEGER, PRIMARY KEY (session, sequence)
                ) WITHOUT ROWID;
                """)
        try forEachRow(EventColumn.self, session: .session) { verifier, _, row in
            let event = try EventRow(row)
            guard let session = row[EventColumn.session.rawValue].integer else {
                throw StoreError.corrupt("a row of event has no session")
            }
            _ = try verifier.owner(session, in: "event")
            try verifier.add(event.entry, of: session)
        }
        try report(
            """
            SELECT id FROM session WHERE NOT EXISTS (
                SELECT 1 FROM event WHERE event.session = session.id)
            """, ofSession: true
        ) { _ in "the session has no journal" }
    }

    /// Entries by session and number, so that their order can be checked.
    private func add(_ entry: JournalEntry, of session: Int64) throws {
        let known = try tables.database.rows(
            sql: "SELECT 1 FROM temp.entry WHERE session = ? AND sequence = ?",
            [session, entry.sequence])
        guard known.isEmpty else {
            throw StoreError.corrupt("journal entry \(entry.sequence) is there twice")
        }
        _ = try tables.database.rows(
            sql: "INSERT INTO temp.entry VALUES (?, ?, ?)",
            [session, entry.sequence, entry.trace?.evaluation])
    }

    mutating func checkTraces() throws {
        try forEachRow(
            TraceBatchColumn.self, session: .session
        ) { verifier, rowID, row in
            let batch = try TraceBatch(ResultRow(values: [.integer(rowID)] + row.values))
            guard let session = row[TraceBatchColumn.session.rawValue].integer else {
                throw StoreError.corrupt("a row of chapter has no session")
            }
            _ = try verifier.owner(session, in: "chapter")
            guard
                batch.entries.last?.trace?.evaluation
                    == row[TraceBatchColumn.lastEvaluation.rawValue].integer.map({ Int($0) }),
                batch.entries.allSatisfy({ $0.trace != nil })
            else { throw StoreError.corrupt("a batch of traces has entries of others") }
            for entry in batch.entries { try verifier.add(entry, of: session) }
        }
        // Evaluations are told in the order of the journal.
        try report(
            """
            SELECT DISTINCT session FROM (
                SELECT session, k, lag(k) OVER (PARTITION BY session ORDER BY sequence) AS former
                FROM temp.entry WHERE k IS NOT NULL
            ) WHERE k <= former
            """, ofSession: true
        ) { _ in "evaluations in the journal are out of order" }
        try forEachRow(EntryCountsColumn.self, session: .session) { verifier, _, row in
            _ = try verifier.owner(EntryCountsRow(row).session, in: "holding")
        }
        try report(
            """
            SELECT holding.session FROM holding WHERE (entries, points) <> (
                SELECT count(*), count(k) FROM temp.entry WHERE session = holding.session
                AND (sequence <= (SELECT max(sequence) FROM snapshot
                        WHERE snapshot.session = holding.session)))
            """, ofSession: true
        ) { _ in "holding miscounts the session's entries" }
        try report(
            "SELECT id FROM session WHERE id NOT IN (SELECT session FROM holding)",
            ofSession: true
        ) { _ in "holding has no row of the session" }
    }

    mutating func checkSnapshots() throws {
        try forEachRow(
            SnapshotColumn.self, session: .session
        ) { verifier, rowID, row in
            let snapshot = try SnapshotRow(ResultRow(values: [.integer(rowID)] + row.values))
            guard let session = row[SnapshotColumn.session.rawValue].integer else {
                throw StoreError.corrupt("a row of snapshot has no session")
            }
            _ = try verifier.owner(session, in: "snapshot")
            try verifier.name(snapshot.scalars, "scalars")
            for item in snapshot.vectors.items { try verifier.name(item.id, "vector") }
        }
        try report(
            "SELECT id FROM session WHERE id NOT IN (SELECT session FROM snapshot)",
            ofSession: true
        ) { _ in "the session has no snapshot" }
        for (row, id) in sessions {
            try nameReplayed(row, id)
        }
    }

    /// Entries that a replay needs: they must be there one after the other, with their payloads.
    private mutating func nameReplayed(_ session: Int64, _ id: SessionID) throws {
        let newest = Int(try tables.database.integer(.newestSequence, [session]) ?? 0)
        for range in try tables.replayed(session) {
            let last = min(range.upperBound - 1, newest)
            guard range.lowerBound <= last else { continue }
            let rows = try tables.database.rows(
                .eventsBetween, [session, range.lowerBound - 1, last])
            if rows.count != last - range.lowerBound + 1 {
                found(
                    id,
                    what: "of the journal's entries \(range.lowerBound)...\(last), which a replay "
                        + "needs, there are \(rows.count)")
            }
            for row in rows {
                if let payload = try? EventRow(row).payload { try name(payload, "payload") }
            }
        }
    }

    private func name(_ blob: Int64, _ use: String) throws {
        _ = try tables.database.rows(sql: "INSERT INTO temp.named VALUES (?, ?)", [blob, use])
    }

    mutating func checkCheckpoints() throws {
        try forEachRow(
            CheckpointColumn.self, session: .session
        ) { verifier, _, row in
            let checkpoint = try CheckpointRecord(row)
            guard let session = row[CheckpointColumn.session.rawValue].integer else {
                throw StoreError.corrupt("a row of checkpoint has no session")
            }
            let id = try verifier.owner(session, in: "checkpoint")
            if try verifier.tables.snapshot(session, atOrBelow: checkpoint.sequence) == nil {
                verifier.found(
                    id, what: "checkpoint \(checkpoint.number) has no snapshot at or below it")
            }
        }
        try report(
            """
            SELECT id FROM session WHERE next_checkpoint <= (
                SELECT max(number) FROM checkpoint WHERE session = session.id)
            """, ofSession: true
        ) { _ in "the session would give a checkpoint's number again" }
    }

    mutating func checkSteps() throws {
        try forEachRow(StepColumn.self, session: .session) { verifier, _, row in
            let step = try StepRecord(row)
            guard let session = row[StepColumn.session.rawValue].integer else {
                throw StoreError.corrupt("a row of step has no session")
            }
            _ = try verifier.owner(session, in: "step")
            guard step.firstEvaluation - 1 <= step.lastEvaluation else {
                throw StoreError.corrupt("step \(step.number) ends before it begins")
            }
        }
    }

    mutating func checkOthers() throws {
        try forEachRow(IdempotencyColumn.self) { _, _, row in _ = try IdempotencyRecord(row) }
        try forEachRow(DeliveryColumn.self, session: .session) { verifier, rowID, row in
            let delivery = try DeliveryRow(ResultRow(values: [.integer(rowID)] + row.values))
            let session = row[DeliveryColumn.session.rawValue].integer ?? 0
            guard try verifier.owner(session, in: "delivery") == delivery.record.session else {
                throw StoreError.corrupt("message \(delivery.record.id) is of two sessions")
            }
        }
        try forEachRowWithoutID(TombstoneColumn.self) { _, _ in }
        try forEachRowWithoutID(DetachedColumn.self) { verifier, row in
            guard case .text(let text) = row[DetachedColumn.publicId.rawValue] else { return }
            verifier.found(
                SessionID(text),
                what: "an entry of the write-ahead log does not continue the session's journal")
        }
    }
}
