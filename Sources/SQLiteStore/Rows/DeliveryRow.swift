import GRDB
import SessionModel

/// A row of `delivery`.
struct DeliveryRow {
    /// Orders listings.
    var id: Int64
    var record: DeliveryRecord

    init(_ row: Row) throws {
        guard case .int64(let id)? = row.databaseValues.first?.storage else {
            throw StoreError.corrupt("a delivery without a rowid")
        }
        self.id = id
        var columns = try SealedRowReader(row, of: "delivery", leading: 1)
        let publicID = try columns.text()
        _ = try columns.int64()
        let session = try columns.require(SessionID(try columns.text()))
        let hook = try columns.text()
        let event = try columns.require(HookEvent(rawValue: try columns.text()))
        let url = try columns.text()
        let secret = try columns.text()
        let body = try columns.require(try columns.optionalBytes())
        let createdAt = try columns.date()
        let status = try columns.require(DeliveryRecord.Status(rawValue: try columns.text()))
        record = DeliveryRecord(
            id: publicID, session: session, hook: hook, event: event, url: url, secret: secret,
            body: body, createdAt: createdAt, status: status, attempts: try columns.int(),
            nextAttemptAt: try columns.optionalDate(), lastAttemptAt: try columns.optionalDate(),
            lastOutcome: try columns.optionalText())
    }
}

extension DeliveryRecord {
    func sealed(session: Int64) -> SealedRow {
        var row = SealedRow()
        row.add(id)
        row.add(session)
        row.add(self.session.rawValue)
        row.add(hook)
        row.add(event.rawValue)
        row.add(url)
        row.add(secret)
        row.add(body)
        row.add(createdAt)
        row.add(status.rawValue)
        row.add(attempts)
        row.add(nextAttemptAt?.microseconds)
        row.add(lastAttemptAt?.microseconds)
        row.add(lastOutcome)
        return row
    }
}

extension ReadTransaction {
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
