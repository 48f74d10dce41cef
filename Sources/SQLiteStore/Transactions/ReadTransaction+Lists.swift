import GRDB
import SessionModel

extension ReadTransaction {
    func summary(_ row: SessionRow, logged: [JournalEntry]) throws -> SessionSummary {
        let entry = try newestEntry(row.id)
        let newest = try logged.following(entry.sequence).last ?? entry
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

    /// Entries that tell evaluations, from evaluation `first` on.
    func evaluated(
        _ session: Int64, from first: EvaluationNumber, limit: Int
    ) throws -> [JournalEntry] {
        let start = try sequence(session, reaching: first)
        let inRows = try database.rows(.eventsFromEvaluation, [session, start, first, limit]).map {
            try EventRow($0).entry
        }
        let batched = try traceBatches(session, from: first, count: limit).flatMap {
            $0.entries(from: first)
        }
        guard !batched.isEmpty else { return inRows }
        return Array((inRows + batched).sorted { $0.sequence < $1.sequence }.prefix(limit))
    }

    /// The sequence number of the first entry after which evaluation `number` had been asked for:
    /// no entry before it tells that evaluation or a later one. A binary search, since evaluations
    /// are asked for in order.
    private func sequence(
        _ session: Int64, reaching number: EvaluationNumber
    ) throws -> SequenceNumber {
        guard number > 1 else { return 0 }
        var low = 1
        var high = Int(try database.integer(.newestSequence, [session]) ?? 0) + 1
        while low < high {
            let middle = low + (high - low) / 2
            let asked = try database.integer(.evaluationAtSequence, [session, middle])
            if let asked, asked < number { low = middle + 1 } else { high = middle }
        }
        return low
    }
}

extension ReadTransaction {
    /// The session's batches of traces from evaluation `first` on, in order, until they have
    /// `count` entries from there on.
    func traceBatches(
        _ session: Int64, from first: EvaluationNumber, count: Int
    ) throws -> [TraceBatch] {
        var batches: [TraceBatch] = []
        var found = 0
        var next = first
        while found < count,
            let row = try database.rows(.traceBatchReaching, [session, next]).first
        {
            let batch = try TraceBatch(row)
            batches.append(batch)
            found += batch.entries(from: first).count
            next = (batch.entries.last?.trace?.evaluation ?? next) + 1
        }
        return batches
    }

    func deliveries(
        _ session: Int64, hook: String, pageSize: Int, after token: PageToken?
    ) throws -> Page<DeliveryRecord> {
        let rows = try database.rows(
            .deliveriesBelow, [session, hook, token?.below ?? .max, pageSize + 1])
        let found = try rows.prefix(pageSize).map(DeliveryRow.init)
        return Page(
            items: found.map(\.record),
            next: rows.count > pageSize ? found.last.map { PageToken(below: $0.id) } : nil)
    }

    /// nil when it is gone.
    func delivery(_ id: DeliveryID) throws -> DeliveryRecord? {
        try database.rows(.delivery, [id]).first.map { try DeliveryRow($0).record }
    }
}
