import SessionModel

enum EventColumn: Int, StatusColumn {
    case session, sequence, kind, time, closedEvaluation, resultDigest, pointDigest
    case standingPhase, standingStep, standingEvaluation, standingLoss
    case payload, k, step, iteration, loss, gradientNorm, stepLength, evaluatedAt

    static let table = Table("event", Self.self)
}

/// A row of `event`: a journal entry without the bytes of its payload.
struct EventRow {
    /// Its `payload` is empty.
    var entry: JournalEntry
    /// The payload's blob, which exists as long as replay may need it.
    var payload: Int64?

    init(_ row: ResultRow) throws { try self.init(ChecksummedRow(row)) }

    /// Reads an entry that is stored outside the table, as `JournalEntry.encoded` writes it.
    init(_ decoder: inout ColumnDecoder) throws(StoreError) {
        try self.init(
            ChecksummedRow(decoded: decoder.values(EventColumn.table.columnCount)))
    }

    private init(_ row: ChecksummedRow<EventColumn>) throws(StoreError) {
        payload = try row.optionalInt64(.payload)
        let trace: TracePoint? =
            if let evaluation = try row.optionalInt(.k) {
                TracePoint(
                    evaluation: evaluation, step: try row.int(.step),
                    iteration: try row.int(.iteration), loss: try row.optionalDouble(.loss),
                    gradientNormInf: try row.optionalDouble(.gradientNorm),
                    stepLength: try row.double(.stepLength), time: try row.date(.evaluatedAt))
            } else { nil }
        entry = JournalEntry(
            sequence: try row.int(.sequence),
            kind: try row.require(.kind, JournalEntry.Kind(rawValue: try row.int(.kind))),
            time: try row.date(.time), trace: trace,
            resultDigest: try row.optionalDigest(.resultDigest),
            pointDigest: try row.optionalDigest(.pointDigest),
            closedEvaluation: try row.optionalInt(.closedEvaluation), status: try row.status())
    }
}

extension JournalEntry {
    /// - Parameter payload: The payload's blob.
    func row(session: Int64, payload: Int64?) -> ChecksummedRow<EventColumn> {
        var row = ChecksummedRow<EventColumn>()
        row.set(.session, session)
        row.set(.sequence, sequence)
        row.set(.kind, kind.rawValue)
        row.set(.time, time)
        row.set(.closedEvaluation, closedEvaluation)
        row.set(.resultDigest, resultDigest)
        row.set(.pointDigest, pointDigest)
        row.set(status)
        row.set(.payload, payload)
        row.set(.k, trace?.evaluation)
        row.set(.step, trace?.step)
        row.set(.iteration, trace?.iteration)
        row.set(.loss, trace?.loss)
        row.set(.gradientNorm, trace?.gradientNormInf)
        row.set(.stepLength, trace?.stepLength)
        row.set(.evaluatedAt, trace?.time)
        return row
    }

    /// Appends the entry's columns, without payload, to an encoding outside the table. There the
    /// session is known otherwise, and its column is 0.
    func encode(to encoder: inout ColumnEncoder) {
        encoder.append(row(session: 0, payload: nil).values)
    }
}
