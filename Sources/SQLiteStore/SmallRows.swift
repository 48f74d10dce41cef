import GRDB
import Sessions

// The rows of `step`, `checkpoint` and `idempotency`: the record as it is.

extension StepRecord {
    func sealed(session: Int64) -> SealedRow {
        var row = SealedRow()
        row.add(session)
        row.add(number)
        row.add(startedAt)
        row.add(endedAt)
        row.add(firstEvaluation)
        row.add(lastEvaluation)
        row.add(result.reason.rawValue)
        row.add(result.lossBefore)
        row.add(result.loss)
        row.add(result.gradientNormInf)
        row.add(result.iterations)
        row.add(result.evaluations)
        return row
    }

    init(_ row: Row) throws {
        var columns = try SealedRowReader(row, of: "step")
        _ = try columns.int64()
        self.init(
            number: try columns.int(), startedAt: try columns.date(),
            endedAt: try columns.date(), firstEvaluation: try columns.int(),
            lastEvaluation: try columns.int(),
            result: StepResult(
                reason: try columns.require(StopReason(rawValue: try columns.text())),
                lossBefore: try columns.optionalDouble(), loss: try columns.optionalDouble(),
                gradientNormInf: try columns.optionalDouble(), iterations: try columns.int(),
                evaluations: try columns.int()))
    }
}

extension CheckpointRecord {
    func sealed(session: Int64) -> SealedRow {
        var row = SealedRow()
        row.add(session)
        row.add(number)
        row.add(name)
        row.add(sequence)
        row.add(createdAt)
        row.add(standing)
        return row
    }

    init(_ row: Row) throws {
        var columns = try SealedRowReader(row, of: "checkpoint")
        _ = try columns.int64()
        self.init(
            number: try columns.int(), name: try columns.optionalText(),
            sequence: try columns.int(), createdAt: try columns.date(),
            standing: try columns.standing())
    }
}

extension IdempotencyRecord {
    var sealed: SealedRow {
        var row = SealedRow()
        row.add(scope)
        row.add(key)
        row.add(requestDigest)
        row.add(outcome)
        row.add(createdAt)
        return row
    }

    init(_ row: Row) throws {
        var columns = try SealedRowReader(row, of: "idempotency")
        self.init(
            scope: try columns.text(), key: try columns.text(),
            requestDigest: try columns.require(try columns.optionalDigest()),
            outcome: try columns.text(), createdAt: try columns.date())
    }
}
