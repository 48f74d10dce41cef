import SessionModel

enum DeliveryColumn: Int, TableColumn {
    case publicId, session, sessionId, hook, event, url, secret, body, createdAt, status
    case attempts, nextAttemptAt, lastAttemptAt, lastOutcome

    static let table = Table("delivery", Self.self)
}

/// A row of `delivery`.
struct DeliveryRow {
    /// The rowid, which orders listings.
    var id: Int64
    var record: DeliveryRecord

    init(_ result: ResultRow) throws {
        id = try result.int64(0)
        let row = try ChecksummedRow<DeliveryColumn>(result, rowIDs: 1)
        record = DeliveryRecord(
            id: try row.text(.publicId),
            session: try row.require(.sessionId, SessionID(try row.text(.sessionId))),
            hook: try row.text(.hook),
            event: try row.require(.event, HookEvent(rawValue: try row.text(.event))),
            url: try row.text(.url), secret: try row.text(.secret), body: try row.bytes(.body),
            createdAt: try row.date(.createdAt),
            status: try row.require(
                .status, DeliveryRecord.Status(rawValue: try row.text(.status))),
            attempts: try row.int(.attempts), nextAttemptAt: try row.optionalDate(.nextAttemptAt),
            lastAttemptAt: try row.optionalDate(.lastAttemptAt),
            lastOutcome: try row.optionalText(.lastOutcome))
    }
}

extension DeliveryRecord {
    func row(session: Int64) -> ChecksummedRow<DeliveryColumn> {
        var row = ChecksummedRow<DeliveryColumn>()
        row.set(.publicId, id)
        row.set(.session, session)
        row.set(.sessionId, self.session.rawValue)
        row.set(.hook, hook)
        row.set(.event, event.rawValue)
        row.set(.url, url)
        row.set(.secret, secret)
        row.set(.body, body)
        row.set(.createdAt, createdAt)
        row.set(.status, status.rawValue)
        row.set(.attempts, attempts)
        row.set(.nextAttemptAt, nextAttemptAt)
        row.set(.lastAttemptAt, lastAttemptAt)
        row.set(.lastOutcome, lastOutcome)
        return row
    }
}
