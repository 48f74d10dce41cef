import SessionModel

enum TraceBatchColumn: Int, TableColumn {
    case session, lastEvaluation, entries, body

    static let table = Table("chapter", Self.self)
}

/// A row of `chapter`: consecutive entries of one session that nothing replays any more and that
/// are kept for their traces.
///
/// An entry in `event` costs a row there and one in its index, and a session that is told often
/// leaves hundreds with each snapshot. The newest entry of a session is always in `event`.
struct TraceBatch {
    /// The rowid.
    let id: Int64
    /// All of them have a trace, and there is at least one.
    let entries: [JournalEntry]

    /// Looking for one entry decodes a whole batch.
    static let entriesMax = 128
    /// Fewer are cheaper as rows of `event`.
    static let entriesMin = 16

    init(_ result: ResultRow) throws {
        id = try result.int64(0)
        let row = try ChecksummedRow<TraceBatchColumn>(result, rowIDs: 1)
        let count = try row.int(.entries)
        var decoder = ColumnDecoder(.compact, try row.bytes(.body)[...])
        var entries: [JournalEntry] = []
        while !decoder.isAtEnd { entries.append(try EventRow(&decoder).entry) }
        guard entries.count == count, count > 0 else {
            throw StoreError.corrupt("a batch of traces has \(entries.count) entries, not \(count)")
        }
        self.entries = entries
    }

    /// The entries that tell evaluation `first` or a later one.
    func entries(from first: EvaluationNumber) -> [JournalEntry] {
        entries.filter { ($0.trace?.evaluation ?? 0) >= first }
    }

    static func row(
        _ entries: some BidirectionalCollection<JournalEntry>, session: Int64
    ) -> ChecksummedRow<TraceBatchColumn> {
        var body = ColumnEncoder(.compact, reserving: entries.count * RowBytes.entry)
        for entry in entries {
            // Where the session stood is read of its newest entry only.
            var entry = entry
            entry.progress = nil
            entry.encode(to: &body)
        }
        var row = ChecksummedRow<TraceBatchColumn>()
        row.set(.session, session)
        row.set(.lastEvaluation, entries.last?.trace?.evaluation)
        row.set(.entries, entries.count)
        row.set(.body, body.bytes)
        return row
    }
}
