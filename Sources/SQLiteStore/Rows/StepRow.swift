import DiskLog
import SessionModel

enum StepColumn: Int, TableColumn {
    case session, number, startedAt, endedAt, firstEvaluation, lastEvaluation, reason
    case lossBefore, loss, gradientNorm, iterations, evaluations, failure

    static let table = Table("step", Self.self)
}

extension StepRecord {
    func row(session: Int64) -> ChecksummedRow<StepColumn> {
        var row = ChecksummedRow<StepColumn>()
        row.set(.session, session)
        row.set(.number, number)
        row.set(.startedAt, startedAt)
        row.set(.endedAt, endedAt)
        row.set(.firstEvaluation, firstEvaluation)
        row.set(.lastEvaluation, lastEvaluation)
        row.set(.reason, result.reason.rawValue)
        row.set(.lossBefore, result.lossBefore)
        row.set(.loss, result.loss)
        row.set(.gradientNorm, result.gradientNormInf)
        row.set(.iterations, result.iterations)
        row.set(.evaluations, result.evaluations)
        row.set(.failure, result.details)
        return row
    }

    init(_ result: ResultRow) throws {
        let row = try ChecksummedRow<StepColumn>(result)
        self.init(
            number: try row.int(.number), startedAt: try row.date(.startedAt),
            endedAt: try row.date(.endedAt), firstEvaluation: try row.int(.firstEvaluation),
            lastEvaluation: try row.int(.lastEvaluation),
            result: StepResult(
                details: try row.optionalBytes(.failure) ?? [],
                reason: try row.require(.reason, StopReason(rawValue: try row.text(.reason))),
                lossBefore: try row.optionalDouble(.lossBefore),
                loss: try row.optionalDouble(.loss),
                gradientNormInf: try row.optionalDouble(.gradientNorm),
                iterations: try row.int(.iterations), evaluations: try row.int(.evaluations)))
    }
}

// What only some results have: the failure of a line search, then what bounds add, which is the
// norm of the projected gradient as a Float64 (NaN if it is absent) and the count of the active
// bounds (the largest UInt64 if it is absent).
extension StepResult {
    private static let boundsBytes = 16

    fileprivate var details: [UInt8]? {
        var bytes = failure?.bytes ?? []
        if activeBounds != nil || projectedGradientNormInf != nil {
            bytes.appendLittleEndian((projectedGradientNormInf ?? .nan).bitPattern)
            bytes.appendLittleEndian(activeBounds.map { UInt64($0) } ?? .max)
        }
        return bytes.isEmpty ? nil : bytes
    }

    fileprivate init(
        details: [UInt8], reason: StopReason, lossBefore: Double?, loss: Double?,
        gradientNormInf: Double?, iterations: Int, evaluations: Int
    ) {
        self.init(
            reason: reason, lossBefore: lossBefore, loss: loss, gradientNormInf: gradientNormInf,
            iterations: iterations, evaluations: evaluations)
        let hasBounds = details.count % LineSearchFailure.byteCount == Self.boundsBytes
        failure = LineSearchFailure(bytes: details.dropLast(hasBounds ? Self.boundsBytes : 0))
        var reader = LittleEndianReader(details.suffix(Self.boundsBytes))
        guard hasBounds, let norm = reader.integer(UInt64.self),
            let count = reader.integer(UInt64.self)
        else { return }
        let projected = Double(bitPattern: norm)
        projectedGradientNormInf = projected.isNaN ? nil : projected
        activeBounds = count == .max ? nil : Int(clamping: count)
    }
}

// Seven little-endian Float64 numbers; a loss change that is absent is NaN.
extension LineSearchFailure {
    fileprivate static let byteCount = 56

    fileprivate var bytes: [UInt8] {
        let numbers = [
            stepLengthLower, stepLengthUpper, slope, lossChange ?? .nan, lossNoise,
            directionNormInf, Double(trials),
        ]
        return numbers.reduce(into: []) { $0.appendLittleEndian($1.bitPattern) }
    }

    fileprivate init?(bytes: ArraySlice<UInt8>) {
        guard bytes.count == Self.byteCount else { return nil }
        var reader = LittleEndianReader(bytes)
        var numbers: [Double] = []
        while let bits = reader.integer(UInt64.self) { numbers.append(Double(bitPattern: bits)) }
        self.init(
            stepLengthLower: numbers[0], stepLengthUpper: numbers[1], slope: numbers[2],
            lossChange: numbers[3].isNaN ? nil : numbers[3], lossNoise: numbers[4],
            directionNormInf: numbers[5], trials: Int(exactly: numbers[6]) ?? 0)
    }
}
