import GRDB
import SessionModel

/// A row of `event`: a journal entry without its payload's bytes.
struct EventRow {
    /// `payload` is empty.
    var entry: JournalEntry
    /// The payload's blob, which is there as long as replay may need it.
    var payload: Int64?

    /// How many values it has, without the checksum.
    static let columns = 19

    static func sealed(_ entry: JournalEntry, session: Int64, payload: Int64?) -> SealedRow {
        var row = SealedRow()
        add(entry, session: session, payload: payload, to: &row)
        return row
    }

    static func add(
        _ entry: JournalEntry, session: Int64, payload: Int64?, to row: inout some RowWriter
    ) {
        row.add(session)
        row.add(entry.sequence)
        row.add(entry.kind.rawValue)
        row.add(entry.time)
        row.add(entry.closedEvaluation)
        row.add(entry.resultDigest)
        row.add(entry.pointDigest)
        row.add(entry.status)
        row.add(payload)
        row.add(entry.trace?.evaluation)
        row.add(entry.trace?.step)
        row.add(entry.trace?.iteration)
        row.add(entry.trace?.loss)
        row.add(entry.trace?.gradientNormInf)
        row.add(entry.trace?.stepLength)
        row.add(entry.trace?.time.microseconds)
    }

    init(_ row: Row) throws {
        var columns = try SealedRowReader(row, of: "event")
        try self.init(&columns)
    }

    init(_ columns: inout SealedRowReader) throws(StoreError) {
        _ = try columns.int64()
        let sequence = try columns.int()
        let kind = try columns.require(JournalEntry.Kind(rawValue: try columns.int()))
        let time = try columns.date()
        let closedEvaluation = try columns.optionalInt()
        let resultDigest = try columns.optionalDigest()
        let pointDigest = try columns.optionalDigest()
        let status = try columns.status()
        payload = try columns.optionalInt64()
        let trace: TracePoint? =
            if let evaluation = try columns.optionalInt() {
                TracePoint(
                    evaluation: evaluation, step: try columns.int(), iteration: try columns.int(),
                    loss: try columns.optionalDouble(),
                    gradientNormInf: try columns.optionalDouble(),
                    stepLength: try columns.double(), time: try columns.date())
            } else { nil }
        entry = JournalEntry(
            sequence: sequence, kind: kind, time: time, trace: trace, resultDigest: resultDigest,
            pointDigest: pointDigest, closedEvaluation: closedEvaluation, status: status)
    }
}
