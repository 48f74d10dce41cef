import DiskLog
import Foundation
import GRDB
public import SessionModel

// Writing what was salvaged to a new store. Rows and blobs keep their identifiers, so that what
// comes back untouched is the same to the bit, and forks go on sharing vectors.

extension SQLiteStore {
    /// Makes this new store go on where the damaged one was: identifiers are not given twice, and
    /// page tokens stay valid.
    public func succeed(_ damaged: InspectedStore) async throws(StoreError) {
        let (newest, pageKey) = try damaged.read { tables in
            let rows = try tables.database.rows(sql: "SELECT name, seq FROM sqlite_sequence")
            return (rows.map(\.values), try? tables.database.storeRow().pageKey)
        }
        try await write { transaction in
            for row in newest {
                guard case .text = row[0], case .integer = row[1] else { continue }
                _ = try transaction.database.rows(
                    sql: "INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", row)
            }
            if let pageKey { try transaction.database.updateStoreRow { $0.pageKey = pageKey } }
        }
    }

    /// Writes a session and what it names. Needs memory for the longest of its vectors.
    public func adopt(
        _ session: SalvagedSession, from damaged: InspectedStore
    ) async throws(StoreError) {
        let present = try await read { transaction in
            try session.blobs.filter {
                try transaction.database.integer(.blobLength, [$0]) != nil
            }
        }
        var blobs: [(id: Int64, bytes: PreparedBytes)] = []
        for id in session.blobs.subtracting(present).sorted() {
            let octets = try damaged.read { try $0.octets(of: id) }
            var bytes = Octets(try octets.bytes())
            if bytes.count >= limits.stagedBytesMin { bytes = try await stager.stage(bytes) }
            blobs.append((id, PreparedBytes(bytes)))
        }
        try await write(bytes: blobs.reduce(0) { $0 + $1.bytes.bytesToWrite }) {
            [blobs] transaction in
            for blob in blobs { try transaction.insert(blob.bytes, as: blob.id) }
            try transaction.adopt(session)
        }
    }

    /// Writes the idempotency keys of sessions that came back with nothing lost of their journal.
    public func adoptIdempotencyRecords(
        from damaged: InspectedStore, of sessions: Set<SessionID>
    ) async throws(StoreError) {
        let records = try damaged.read { tables in
            try tables.database.rows(sql: IdempotencyColumn.table.select("")).compactMap {
                try? IdempotencyRecord($0)
            }
        }.filter { record in
            // The scope begins with the session's identifier; a creation's outcome is one.
            let names = [String(record.scope.prefix { $0 != "/" }), record.outcome]
            return names.contains { SessionID($0).map(sessions.contains) ?? false }
        }
        try await write { transaction in
            for record in records {
                try transaction.database.run(.insertIdempotency, binding: record.row.bound)
            }
        }
    }
}

extension WriteTransaction {
    fileprivate mutating func adopt(_ session: SalvagedSession) throws {
        let row = session.row.id
        try database.run(.insertSession, binding: try session.row.columns().bound)
        try insertLabels(session.record.labels, session: row)
        for snapshot in session.snapshots { try adopt(snapshot, of: row) }
        for event in session.events {
            try database.run(
                .insertEvent, binding: event.entry.row(session: row, payload: event.payload).bound)
        }
        for entry in session.logged {
            let payload = try entry.payload.isEmpty ? nil : insert(PreparedBytes(entry.payload))
            try database.run(.insertEvent, binding: entry.row(session: row, payload: payload).bound)
        }
        for batch in session.batches { try insertTraceBatches(batch, session: row) }
        for step in session.steps {
            try database.run(.insertStep, binding: step.row(session: row).bound)
        }
        for checkpoint in session.checkpoints {
            try database.run(.insertCheckpoint, binding: checkpoint.row(session: row).bound)
        }
        for delivery in session.deliveries {
            _ = try database.rows(
                sql: "INSERT INTO delivery (id, \(DeliveryColumn.table.columnList)) VALUES (?, "
                    + Array(
                        repeating: "?", count: DeliveryColumn.table.columnCount + 1
                    ).joined(separator: ", ") + ")",
                [ColumnValue.integer(delivery.id)] + delivery.record.row(session: row).bound)
        }
        try database.run(
            .insertEntryCounts, binding: session.entryCounts.row.bound)
        try database.updateStoreRow { $0.sessions += 1 }
    }

    private func adopt(_ snapshot: SnapshotRow, of session: Int64) throws {
        let draft = SnapshotDraft(
            sequence: snapshot.sequence, formatVersion: snapshot.formatVersion,
            numericsVersion: snapshot.numericsVersion, scalars: [], vectors: [])
        let row = draft.row(
            session: session, scalars: snapshot.scalars, vectors: snapshot.vectors)
        try database.run(.insertSnapshot, binding: row.bound)
        for item in snapshot.vectors.items {
            if let known = try database.rows(.vector, [item.id]).first {
                var vector = try VectorRow(known)
                vector.names += 1
                try database.run(.updateVector, binding: vector.row.bound)
            } else {
                try database.run(.insertVector, binding: VectorRow(id: item.id, names: 1).row.bound)
            }
        }
    }
}

extension SalvagedSession {
    /// Of the entries up to the newest snapshot.
    fileprivate var entryCounts: EntryCountsRow {
        let newest = snapshots.last?.sequence ?? 0
        let batched = batches.reduce(0) { $0 + $1.count }
        let counted = (events.map(\.entry) + logged).filter { $0.sequence <= newest }
        return EntryCountsRow(
            session: row.id, entries: counted.count + batched,
            points: counted.count { $0.trace != nil } + batched)
    }
}
