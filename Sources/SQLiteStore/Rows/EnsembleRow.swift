import SessionModel

enum EnsembleColumn: Int, TableColumn {
    case id, publicId, tenant, createdAt, specification, outcome, finishedAt

    static let table = Table("ensemble", Self.self)
}

/// A row of `ensemble`.
struct EnsembleRow {
    /// The rowid: names the ensemble in `ensemble_member`, and orders listings.
    var id: Int64
    var record: EnsembleRecord

    init(id: Int64, record: EnsembleRecord) {
        self.id = id
        self.record = record
    }

    func columns() throws -> ChecksummedRow<EnsembleColumn> {
        var row = ChecksummedRow<EnsembleColumn>()
        row.set(.id, id)
        row.set(.publicId, record.id.rawValue)
        row.set(.tenant, record.tenant)
        row.set(.createdAt, record.createdAt)
        row.set(.specification, try BinaryPropertyList.encode(record.specification))
        row.set(.outcome, record.outcome?.reason.rawValue)
        row.set(.finishedAt, record.outcome?.finishedAt)
        return row
    }

    init(_ result: ResultRow) throws {
        let row = try ChecksummedRow<EnsembleColumn>(result)
        id = try row.int64(.id)
        var outcome: EnsembleOutcome?
        if let text = try row.optionalText(.outcome) {
            outcome = EnsembleOutcome(
                try row.require(.outcome, EnsembleOutcome.Reason(rawValue: text)),
                at: try row.date(.finishedAt))
        }
        let specification: EnsembleSpecification
        do {
            specification = try BinaryPropertyList.decode(
                EnsembleSpecification.self, from: row.bytes(.specification))
        } catch {
            throw StoreError.corrupt("an ensemble's specification can't be read: \(error)")
        }
        guard specification.hasPossibleSizes else {
            throw StoreError.corrupt("an ensemble's specification has sizes that can't be")
        }
        record = EnsembleRecord(
            id: try row.require(.publicId, EnsembleID(try row.text(.publicId))),
            tenant: try row.text(.tenant), specification: specification,
            createdAt: try row.date(.createdAt), outcome: outcome)
    }
}

enum MemberColumn: Int, TableColumn {
    case ensemble, number, session, abandoned, abandonedStep, abandonedFor

    static let table = Table("ensemble_member", Self.self)
}

/// A row of `ensemble_member`.
struct MemberRow {
    var ensemble: Int64
    var number: Int
    var session: Int64
    var abandonment: Abandonment?

    init(ensemble: Int64, number: Int, session: Int64) {
        self.ensemble = ensemble
        self.number = number
        self.session = session
    }

    var row: ChecksummedRow<MemberColumn> {
        var row = ChecksummedRow<MemberColumn>()
        row.set(.ensemble, ensemble)
        row.set(.number, number)
        row.set(.session, session)
        row.set(.abandoned, abandonment?.reason.rawValue)
        row.set(.abandonedStep, abandonment?.step)
        row.set(.abandonedFor, abandonment?.other)
        return row
    }

    /// - Parameter rowIDs: How many values precede the columns.
    init(_ result: ResultRow, rowIDs: Int = 0) throws(StoreError) {
        let row = try ChecksummedRow<MemberColumn>(result, rowIDs: rowIDs)
        ensemble = try row.int64(.ensemble)
        number = try row.int(.number)
        session = try row.int64(.session)
        if let text = try row.optionalText(.abandoned) {
            abandonment = Abandonment(
                try row.require(.abandoned, Abandonment.Reason(rawValue: text)),
                step: try row.int(.abandonedStep), other: try row.optionalInt(.abandonedFor))
        }
    }
}
