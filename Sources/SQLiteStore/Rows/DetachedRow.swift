import SessionModel

enum DetachedColumn: Int, TableColumn {
    case publicId, sequence, record

    static let table = Table("detached", Self.self)
}

/// What table `detached` has of one session: entries of the write-ahead log that do not continue
/// its journal, as something before them is lost, or that can't be added to it, as its rows are
/// damaged.
struct DetachedEntries {
    var entries: [JournalEntry] = []
    /// How far the journal went. Later than the newest entry if that was lost.
    var reached: SequenceNumber = 0
}

extension DetachedEntries {
    /// The rows in `detached`. The last one's record is empty if that entry is lost.
    func rows(_ session: SessionID) throws(StoreError) -> [ChecksummedRow<DetachedColumn>] {
        func row(_ sequence: SequenceNumber, _ record: [UInt8]) -> ChecksummedRow<DetachedColumn> {
            var row = ChecksummedRow<DetachedColumn>()
            row.set(.publicId, session.rawValue)
            row.set(.sequence, sequence)
            row.set(.record, record)
            return row
        }
        var rows: [ChecksummedRow<DetachedColumn>] = []
        for entry in entries {
            let record = try LoggedEntry(session: session, entry: entry).record()
            rows.append(row(entry.sequence, record))
        }
        if reached > entries.last?.sequence ?? 0 { rows.append(row(reached, [])) }
        return rows
    }
}

extension ReadTransaction {
    /// The rows of `detached`. There are few, if any: they are what damage has left.
    func detachedEntries() throws -> [SessionID: DetachedEntries] {
        var found: [SessionID: DetachedEntries] = [:]
        let sql = DetachedColumn.table.select("ORDER BY public_id, sequence")
        for result in try database.rows(sql: sql) {
            let row = try ChecksummedRow<DetachedColumn>(result)
            let session = try row.require(.publicId, SessionID(try row.text(.publicId)))
            let record = try row.bytes(.record)
            if !record.isEmpty {
                let logged = try LoggedEntry(record: record[...])
                found[session, default: DetachedEntries()].entries.append(logged.entry)
            }
            let sequence = try row.int(.sequence)
            found[session, default: DetachedEntries()].reached = max(
                sequence, found[session]?.reached ?? 0)
        }
        return found
    }
}
