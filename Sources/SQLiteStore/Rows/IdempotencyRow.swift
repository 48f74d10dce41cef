import SessionModel

enum IdempotencyColumn: Int, TableColumn {
    case scope, key, requestDigest, outcome, createdAt

    static let table = Table("idempotency", Self.self)
}

extension IdempotencyRecord {
    var row: ChecksummedRow<IdempotencyColumn> {
        var row = ChecksummedRow<IdempotencyColumn>()
        row.set(.scope, scope)
        row.set(.key, key)
        row.set(.requestDigest, requestDigest)
        row.set(.outcome, outcome)
        row.set(.createdAt, createdAt)
        return row
    }

    init(_ result: ResultRow) throws {
        let row = try ChecksummedRow<IdempotencyColumn>(result)
        self.init(
            scope: try row.text(.scope), key: try row.text(.key),
            requestDigest: try row.require(
                .requestDigest, try row.optionalDigest(.requestDigest)),
            outcome: try row.text(.outcome), createdAt: try row.date(.createdAt))
    }
}
