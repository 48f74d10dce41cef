import SessionModel

enum CheckpointColumn: Int, StatusColumn {
    case session, number, name, sequence, createdAt
    case standingPhase, standingStep, standingEvaluation, standingLoss, keep

    static let table = Table("checkpoint", Self.self)
}

extension CheckpointRecord {
    func row(session: Int64) -> ChecksummedRow<CheckpointColumn> {
        var row = ChecksummedRow<CheckpointColumn>()
        row.set(.session, session)
        row.set(.number, number)
        row.set(.name, name)
        row.set(.sequence, sequence)
        row.set(.createdAt, createdAt)
        row.set(status)
        row.set(.keep, isKept ? 1 : 0)
        return row
    }

    init(_ result: ResultRow) throws {
        let row = try ChecksummedRow<CheckpointColumn>(result)
        self.init(
            number: try row.int(.number), name: try row.optionalText(.name),
            sequence: try row.int(.sequence), createdAt: try row.date(.createdAt),
            status: try row.status(), isKept: try row.int(.keep) != 0)
    }
}
