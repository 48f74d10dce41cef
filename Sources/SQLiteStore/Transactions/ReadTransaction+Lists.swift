import GRDB
import SessionModel

extension ReadTransaction {
    func summary(_ row: SessionRow, logged: [JournalEntry]) throws -> SessionSummary {
        let entry = try newestEntry(row.id)
        let newest = try logged.following(entry.sequence, of: row.record.id).last ?? entry
        return SessionSummary(
            record: row.record, status: newest.status, progress: newest.progress,
            ensemble: try ensemble(ofMember: row.id), updatedAt: newest.time,
            sequence: newest.sequence)
    }

    func list(
        pageSize: Int, after token: PageToken?, matching filter: SessionFilter,
        logged: [SessionID: [JournalEntry]], detachedIn memtable: EntryMemtable
    ) throws -> Page<SessionSummary> {
        // One more than asked for tells whether there is a next page.
        let rows = try sessions(below: token?.below ?? .max, matching: filter, count: pageSize + 1)
        var page = Page<SessionSummary>(items: [], next: nil)
        for row in rows.prefix(pageSize) {
            do {
                let session = try SessionRow(row)
                // The index of labels has no checksums, and that of names none of labels.
                let labels = session.record.labels
                if let label = filter.label, labels[label.key] != label.value { continue }
                try memtable.check(session.record.id)
                page.items.append(
                    try summary(session, logged: logged[session.record.id] ?? []))
            } catch let error as StoreError {
                guard case .corrupt = error else { throw error }
                // The index has found the row by its tenant, if there is one to find.
                let isOwned =
                    filter.tenant.map { row[SessionColumn.tenant.rawValue] == .text($0) } ?? true
                page.damaged.add(isOwned ? try identifier(ofDamaged: row.int64(0)) : nil)
            }
        }
        if rows.count > pageSize {
            page.next = PageToken(below: try rows[pageSize - 1].int64(0))
        }
        return page
    }

    /// Rows of sessions by the narrowest index: of those with a name and a label, all of the name.
    private func sessions(
        below: Int64, matching filter: SessionFilter, count: Int
    ) throws -> [ResultRow] {
        switch (filter.name, filter.label, filter.tenant) {
        case (let name?, _, let tenant?):
            try database.rows(.namedSessionsOfTenantBelow, [name, below, tenant, count])
        case (let name?, _, nil):
            try database.rows(.namedSessionsBelow, [name, below, count])
        case (nil, let label?, let tenant?):
            try database.rows(
                .labelledSessionsOfTenantBelow, [label.key, label.value, below, tenant, count])
        case (nil, let label?, nil):
            try database.rows(.labelledSessionsBelow, [label.key, label.value, below, count])
        case (nil, nil, let tenant?):
            try database.rows(.sessionsOfTenantBelow, [tenant, below, count])
        case (nil, nil, nil):
            try database.rows(.sessionsBelow, [below, count])
        }
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
        let inRows = try tableEntries(session, evaluatedFrom: first, limit: limit)
        let batched = try traceBatches(session, from: first, count: limit).flatMap {
            $0.entries(from: first)
        }
        guard !batched.isEmpty else { return inRows }
        return Array((inRows + batched).sorted { $0.sequence < $1.sequence }.prefix(limit))
    }

    /// The same of table `event`. Which entries tell an evaluation is read from the rows and not
    /// from a condition of the query, which would pass over a damaged row in silence.
    private func tableEntries(
        _ session: Int64, evaluatedFrom first: EvaluationNumber, limit: Int
    ) throws -> [JournalEntry] {
        var next = try sequence(session, reaching: first)
        var found: [JournalEntry] = []
        let rowsPerQuery = max(limit, 16)
        while found.count < limit {
            let rows = try database.rows(.eventsFrom, [session, next, rowsPerQuery])
            for row in rows {
                let entry = try EventRow(row).entry
                guard row[EventColumn.session.rawValue] == .integer(session), entry.sequence >= next
                else {
                    throw StoreError.corrupt("an index leads to entry \(entry.sequence)")
                }
                next = entry.sequence + 1
                if let trace = entry.trace, trace.evaluation >= first { found.append(entry) }
            }
            if rows.count < rowsPerQuery { break }
        }
        return Array(found.prefix(limit))
    }

    /// Throws `.corrupt` unless the session has as many entries as were written: the indexes that
    /// lead to them have no checksums.
    func checkEntryCount(_ session: Int64) throws {
        let snapshot = Int(try database.integer(.newestSnapshotSequence, [session]) ?? 0)
        let newest = Int(try database.integer(.newestSequence, [session]) ?? 0)
        let expected = try entryCounts(session).entries + newest - snapshot
        let inRows = Int(try database.integer(.countEventRows, [session]) ?? 0)
        let inBatches = Int(try database.integer(.countBatchedEntries, [session]) ?? 0)
        guard inRows + inBatches == expected else {
            throw StoreError.corrupt(
                "the journal has \(inRows + inBatches) entries, not \(expected)")
        }
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
