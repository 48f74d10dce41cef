import GRDB
import SessionModel

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
        row.add(result.failure?.bytes)
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
                evaluations: try columns.int(),
                failure: try columns.optionalBytes().flatMap(LineSearchFailure.init(bytes:))))
    }
}

// Seven numbers; a loss change that isn't there is NaN.
extension LineSearchFailure {
    fileprivate var bytes: [UInt8] {
        let numbers = [
            stepLengthLower, stepLengthUpper, slope, lossChange ?? .nan, lossNoise,
            directionNormInf, Double(trials),
        ]
        return numbers.flatMap { number in
            (0..<8).map { UInt8(truncatingIfNeeded: number.bitPattern >> (8 * UInt64($0))) }
        }
    }

    fileprivate init?(bytes: [UInt8]) {
        guard bytes.count == 56 else { return nil }
        let numbers = stride(from: 0, to: 56, by: 8).map { start in
            Double(
                bitPattern: (0..<8).reduce(UInt64(0)) {
                    $0 | UInt64(bytes[start + $1]) << (8 * UInt64($1))
                })
        }
        self.init(
            stepLengthLower: numbers[0], stepLengthUpper: numbers[1], slope: numbers[2],
            lossChange: numbers[3].isNaN ? nil : numbers[3], lossNoise: numbers[4],
            directionNormInf: numbers[5], trials: Int(exactly: numbers[6]) ?? 0)
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
        row.add(status)
        return row
    }

    init(_ row: Row) throws {
        var columns = try SealedRowReader(row, of: "checkpoint")
        _ = try columns.int64()
        self.init(
            number: try columns.int(), name: try columns.optionalText(),
            sequence: try columns.int(), createdAt: try columns.date(),
            status: try columns.status())
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
