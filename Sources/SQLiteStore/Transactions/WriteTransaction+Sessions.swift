import GRDB
import SessionModel

// The transactions of `create`, `commit` and `delete`. If one of them throws, the committer undoes
// what it has done so far.

extension WriteTransaction {
    mutating func create(
        _ record: SessionRecord, entry: JournalEntry, snapshot: PreparedSnapshot,
        idempotency: IdempotencyRecord?
    ) throws -> [VectorName: VectorID] {
        if let idempotency { try insert(idempotency) }
        guard try database.rows(.session, [record.id.rawValue]).isEmpty else {
            throw StoreError.exists
        }
        guard let session = try database.integer(.newSessionID, []) else {
            throw StoreError.corrupt("the table session has no next identifier")
        }
        let row = SessionRow(id: session, record: record, nextCheckpoint: 1)
        try database.run(.insertSession, binding: try row.columns().bound)
        try insertLabels(record.labels, session: session)
        try database.run(.insertEntryCounts, binding: EntryCountsRow(session: session).row.bound)
        try database.updateStoreRow { $0.sessions += 1 }
        try append(
            [PreparedEntry(entry, covered: snapshot.draft.sequence)], to: session, after: 0,
            coveredThrough: entry.sequence)
        return try setNewestSnapshot(
            snapshot, of: session, newest: entry.sequence, batched: 0)
    }

    mutating func commit(
        _ batch: PreparedBatch, to id: SessionID
    ) throws -> [VectorName: VectorID] {
        let tail = try tails.tail(of: id, in: reading, memtable)
        let session = tail.rowID
        if let first = batch.entries.first?.entry.sequence, first != tail.newestSequence + 1 {
            throw StoreError.outOfOrder(expected: tail.newestSequence + 1, got: first)
        }
        let covered = batch.snapshot?.draft.sequence ?? 0
        let batched = try flush(
            id, in: session, coveredThrough: covered, keepsNewest: batch.entries.isEmpty)
        if let idempotency = batch.idempotency { try insert(idempotency) }
        let newest = try append(
            batch.entries, to: session, after: tail.newestSequence, coveredThrough: covered)
        tails[id] = JournalTailCache.Tail(rowID: session, newestSequence: newest)
        if let step = batch.step {
            guard try reading.step(session, number: step.number) == nil else {
                throw StoreError.exists
            }
            try database.run(.insertStep, binding: step.row(session: session).bound)
        }
        if let number = batch.removedCheckpoint {
            try removeCheckpoint(number, of: session)
        }
        if let kept = batch.keptCheckpoint {
            guard let row = try database.rows(.checkpoint, [session, kept.number]).first else {
                throw StoreError.missing
            }
            var checkpoint = try CheckpointRecord(row)
            checkpoint.isKept = kept.isKept
            try database.run(.updateCheckpoint, binding: checkpoint.row(session: session).bound)
        }
        if batch.checkpoint != nil || batch.metadata != nil {
            var row = try reading.session(id)
            if let checkpoint = batch.checkpoint {
                try insert(checkpoint, at: newest, into: &row)
            }
            if let metadata = batch.metadata { try update(&row, with: metadata) }
            try database.run(.updateSession, binding: try row.columns().bound)
        }
        for delivery in batch.deliveries {
            try database.run(.insertDelivery, binding: delivery.row(session: session).bound)
            try forgetEndedDeliveries(of: session)
        }
        guard let snapshot = batch.snapshot else { return [:] }
        return try setNewestSnapshot(
            snapshot, of: session, newest: newest, batched: batched)
    }

    /// A damaged row is deleted without what it names, which stays: it may be another session's.
    mutating func delete(_ id: SessionID) throws {
        let session = try reading.rowIDOfDamaged(id)
        tails[id] = nil
        flushedThrough[id] = .max
        try deletePayloads(session, after: 0, through: Int.max)
        var references = VectorReferences()
        for result in try database.rows(.snapshots, [session]) {
            if let snapshot = try? SnapshotRow(result) {
                references.remove(snapshot.vectors)
                try deleteBlob(snapshot.scalars)
            }
            try database.run(.deleteSnapshot, [try result.int64(0)])
        }
        try apply(references)
        try database.run(.deleteSteps, [session, Int.max])
        try removeMember(session: session)
        for query: StoreQuery in [
            .deleteEvents, .deleteTraceBatches, .deleteEntryCounts, .deleteCheckpoints,
            .deleteLabels, .deleteDeliveries, .deleteSession,
        ] {
            try database.run(query, [session])
        }
        try database.run(.deleteDetached, [id.rawValue])
        var store = try database.storeRow()
        store.sessions -= 1
        try database.run(.updateStore, binding: store.row.bound)
        try database.run(
            .insertTombstone,
            binding: TombstoneColumn.row(
                id.rawValue, checkpointedEpoch: store.checkpointedEpoch
            ).bound)
        freesPages = true
    }

    /// Flushes a session's entries from the memtable to the tables.
    mutating func flush(_ id: SessionID) throws {
        _ = try flush(id, in: tails.tail(of: id, in: reading, memtable).rowID)
    }

    /// Flushes a session's entries from the memtable to the tables. Entries up to `covered`, the
    /// sequence number of a snapshot that comes with them, lose their payload, and are kept only
    /// for their traces, in batches if there are enough.
    /// - Parameter keepsNewest: Whether the last of them stays the session's newest entry.
    /// - Returns: How many entries went to batches.
    private mutating func flush(
        _ id: SessionID, in session: Int64, coveredThrough covered: SequenceNumber = 0,
        keepsNewest: Bool = true
    ) throws -> Int {
        guard flushedThrough[id] == nil else { return 0 }
        try memtable.check(id)
        let entries = memtable.entries(of: id)
        guard let first = entries.first, let last = entries.last else { return 0 }
        flushedThrough[id] = last.sequence
        if memtable.isReattached(id) { try database.run(.deleteDetached, [id.rawValue]) }
        var rows = entries[...]
        var batched: [JournalEntry] = []
        if last.sequence <= covered {
            rows = keepsNewest ? entries.suffix(1) : []
            let others = entries.prefix(entries.count - rows.count)
            for (index, entry) in others.enumerated()
            where entry.sequence != first.sequence + index {
                throw StoreError.outOfOrder(expected: first.sequence + index, got: entry.sequence)
            }
            batched = others.filter { $0.trace != nil }
            if batched.count < TraceBatch.entriesMin { (batched, rows) = ([], entries[...]) }
        }
        try insertTraceBatches(batched, session: session)
        if let first = rows.first {
            try append(
                rows.map { PreparedEntry($0, covered: covered) }, to: session,
                after: first.sequence - 1, coveredThrough: covered)
        }
        return batched.count
    }

    /// Inserts the rows of entries. Those up to `covered` lie below the snapshot that comes with
    /// them, and are written without payload, because nothing replays them.
    /// - Returns: The sequence number of the newest entry.
    @discardableResult
    private mutating func append(
        _ entries: [PreparedEntry], to session: Int64, after newest: SequenceNumber,
        coveredThrough covered: SequenceNumber
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
            try database.run(
                .insertEvent, binding: entry.row(session: session, payload: payload).bound)
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
        try database.run(.insertCheckpoint, binding: checkpoint.row(session: row.id).bound)
    }

    private func update(_ row: inout SessionRow, with metadata: SessionMetadata) throws {
        row.record.apply(metadata)
        try database.run(.deleteLabels, [row.id])
        try insertLabels(metadata.labels, session: row.id)
    }

    func insert(_ record: IdempotencyRecord) throws {
        if let taken = try reading.idempotency(scope: record.scope, key: record.key) {
            throw StoreError.duplicateKey(taken)
        }
        try database.run(.insertIdempotency, binding: record.row.bound)
        try forgetOldKeys(like: record)
    }

    func insertLabels(_ labels: [String: String], session: Int64) throws {
        for (key, value) in labels.sorted(by: { $0.key < $1.key }) {
            try database.run(.insertLabel, [session, key, value])
        }
    }
}
