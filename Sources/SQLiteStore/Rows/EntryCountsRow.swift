import SessionModel

enum EntryCountsColumn: Int, TableColumn {
    case session, entries, points

    static let table = Table("holding", Self.self)
}

/// A row of `holding`: how many entries a session has up to its newest snapshot, and how many of
/// them have a trace.
struct EntryCountsRow {
    var session: Int64
    var entries: Int
    var points: Int

    init(session: Int64, entries: Int = 0, points: Int = 0) {
        self.session = session
        self.entries = entries
        self.points = points
    }

    init(_ result: ResultRow) throws(StoreError) {
        let row = try ChecksummedRow<EntryCountsColumn>(result)
        session = try row.int64(.session)
        entries = try row.int(.entries)
        points = try row.int(.points)
    }

    var row: ChecksummedRow<EntryCountsColumn> {
        var row = ChecksummedRow<EntryCountsColumn>()
        row.set(.session, session)
        row.set(.entries, entries)
        row.set(.points, points)
        return row
    }
}
