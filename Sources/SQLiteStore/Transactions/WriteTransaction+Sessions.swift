import GRDB
import SessionModel

// What `create`, `commit` and `delete` do, within a transaction. Whatever one of them throws, the
// committer undoes what it has done so far.

extension WriteTransaction {
    mutating func create(
        _ record: SessionRecord, entry: JournalEntry, snapshot: PreparedSnapshot,
        idempotency: IdempotencyRecord?
    ) throws -> [VectorName: VectorID] {
        if let idempotency { try insert(idempotency) }
        guard try database.rows(.session, [record.id.rawValue]).isEmpty else {
            throw StoreError.exists
        }
        let row = try SessionRow.sealed(record, nextCheckpoint: 1)
        try database.run(.insertSession, binding: row.values)
        let session = database.lastInsertedRowID
        try insertLabels(record.labels, session: session)
        try database.run(.insertHolding, [session])
        try database.run(.countSession, [1])
        try append(
            [PreparedEntry(entry, covered: snapshot.draft.sequence)], to: session, after: 0,
            upTo: entry.sequence)
        return try setNewestSnapshot(
            snapshot, of: session, newest: entry.sequence, chaptered: 0)
    }

    mutating func commit(
        _ batch: PreparedBatch, to id: SessionID
    ) throws -> [VectorName: VectorID] {
        let end = try journals.end(of: id, in: reading, pending)
        let session = end.rowID
        if let first = batch.entries.first?.entry.sequence, first != end.newest + 1 {
            throw StoreError.outOfOrder(expected: end.newest + 1, got: first)
        }
        let chaptered = try settle(
            id, in: session, upTo: batch.snapshot?.draft.sequence ?? 0,
            isNewest: batch.entries.isEmpty)
        if let idempotency = batch.idempotency { try insert(idempotency) }
        let newest = try append(
            batch.entries, to: session, after: end.newest,
            upTo: batch.snapshot?.draft.sequence ?? 0)
        journals[id] = JournalEnds.End(rowID: session, newest: newest)
        if let step = batch.step {
            guard try reading.step(session, number: step.number) == nil else {
                throw StoreError.exists
            }
            try database.run(.insertStep, binding: step.sealed(session: session).values)
        }
        if let number = batch.removedCheckpoint {
            try removeCheckpoint(number, of: session)
        }
        if batch.checkpoint != nil || batch.metadata != nil {
            var row = try reading.session(id)
            if let checkpoint = batch.checkpoint {
                try insert(checkpoint, at: newest, into: &row)
            }
            if let metadata = batch.metadata { try update(&row, with: metadata) }
            let sealed = try SessionRow.sealed(row.record, nextCheckpoint: row.nextCheckpoint)
            try database.run(.updateSession, sealed.arguments + [session])
        }
        for delivery in batch.deliveries {
            try database.run(.insertDelivery, binding: delivery.sealed(session: session).values)
        }
        guard let snapshot = batch.snapshot else { return [:] }
        return try setNewestSnapshot(
            snapshot, of: session, newest: newest, chaptered: chaptered)
    }

    mutating func delete(_ id: SessionID) throws {
        let session = try reading.rowID(id)
        journals[id] = nil
        settled[id] = .max
        try deletePayloads(session, after: 0, through: Int.max)
        var names = VectorNames()
        while let snapshot = try reading.snapshot(session, atOrBelow: Int.max) {
            names.subtract(snapshot.vectors)
            try deleteBlob(snapshot.scalars)
            try database.run(.deleteSnapshot, [snapshot.id])
        }
        try apply(names)
        try database.run(.deleteSteps, [session, Int.max])
        for statement: Statement in [
            .deleteEvents, .deleteChapters, .deleteHolding, .deleteCheckpoints, .deleteLabels,
            .deleteDeliveries, .deleteSession,
        ] {
            try database.run(statement, [session])
        }
        try database.run(.countSession, [-1])
        freesPages = true
    }

    /// Brings a session's entries from the log to the tables. Entries below a snapshot that comes
    /// with them leave their payload behind, and what is left is a trace or nothing.
    /// - Parameter isNewest: Whether no entry follows the last of them.
    /// - Returns: How many went to chapters.
    @discardableResult
    mutating func settle(
        _ id: SessionID, in session: Int64, upTo covered: SequenceNumber = 0,
        isNewest: Bool = true
    ) throws -> Int {
        guard settled[id] == nil else { return 0 }
        let entries = pending.entries(of: id)
        guard let first = entries.first, let last = entries.last else { return 0 }
        settled[id] = last.sequence
        var rows = entries[...]
        var chaptered: [JournalEntry] = []
        if last.sequence <= covered {
            rows = isNewest ? entries.suffix(1) : []
            let others = entries.prefix(entries.count - rows.count)
            for (place, entry) in others.enumerated()
            where entry.sequence != first.sequence + place {
                throw StoreError.outOfOrder(expected: first.sequence + place, got: entry.sequence)
            }
            chaptered = others.filter { $0.trace != nil }
            if chaptered.count < Chapter.entriesMin { (chaptered, rows) = ([], entries[...]) }
        }
        try insertChapters(chaptered, session: session)
        if let first = rows.first {
            try append(
                rows.map { PreparedEntry($0, covered: covered) }, to: session,
                after: first.sequence - 1, upTo: covered)
        }
        return chaptered.count
    }

    /// Returns the sequence of the newest entry. Entries up to and including `covered` lie below
    /// the snapshot that comes with them, and are written without payload: nothing replays them.
    @discardableResult
    private mutating func append(
        _ entries: [PreparedEntry], to session: Int64, after newest: SequenceNumber,
        upTo covered: SequenceNumber
    ) throws -> SequenceNumber {
        var newest = newest
        for prepared in entries {
            let entry = prepared.entry
            guard entry.sequence == newest + 1 else {
                throw StoreError.outOfOrder(expected: newest + 1, got: entry.sequence)
            }
            newest = entry.sequence
            var payload: Int64?
            if let bytes = prepared.payload, entry.sequence > covered {
                payload = try insert(bytes)
            }
            let row = EventRow.sealed(entry, session: session, payload: payload)
            try database.run(.insertEvent, binding: row.values)
        }
        return newest
    }

    private func insert(
        _ checkpoint: CheckpointRecord, at newest: SequenceNumber, into row: inout SessionRow
    ) throws {
        guard checkpoint.number >= row.nextCheckpoint else { throw StoreError.exists }
        guard checkpoint.sequence == newest else {
            throw StoreError.outOfOrder(expected: newest, got: checkpoint.sequence)
        }
        row.nextCheckpoint = checkpoint.number + 1
        try database.run(.insertCheckpoint, binding: checkpoint.sealed(session: row.id).values)
    }

    private func update(_ row: inout SessionRow, with metadata: SessionMetadata) throws {
        row.record.name = metadata.name
        row.record.labels = metadata.labels
        row.record.metadataVersion = metadata.version
        if let parameters = metadata.parameters { row.record.parameters = parameters }
        if let memoryBytes = metadata.memoryBytes { row.record.memoryBytes = memoryBytes }
        try database.run(.deleteLabels, [row.id])
        try insertLabels(metadata.labels, session: row.id)
    }

    private func insert(_ record: IdempotencyRecord) throws {
        if let taken = try reading.idempotency(scope: record.scope, key: record.key) {
            throw StoreError.duplicateKey(taken)
        }
        try database.run(.insertIdempotency, binding: record.sealed.values)
    }

    private func insertLabels(_ labels: [String: String], session: Int64) throws {
        for (key, value) in labels.sorted(by: { $0.key < $1.key }) {
            try database.run(.insertLabel, [session, key, value])
        }
    }
}
