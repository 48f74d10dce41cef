import DiskLog
import SessionModel

enum EventColumn: Int, StatusColumn {
    case session, sequence, kind, time, closedEvaluation, resultDigest, pointDigest
    case standingPhase, standingStep, standingEvaluation, standingLoss
    case payload, k, step, iteration, loss, gradientNorm, stepLength, evaluatedAt
    case details

    static let table = Table("event", Self.self)
    /// `details`, which rows from before schema version 6 don't have.
    static let optionalColumns = 1
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
        var values = try decoder.values(EventColumn.table.columnCount - 1)
        let hasDetails = values[EventColumn.session.rawValue] == Self.followedByDetails
        values += hasDetails ? try decoder.values(1) : [.null]
        try self.init(ChecksummedRow(decoded: values))
    }

    /// Column `session` of an entry outside the table whose last column is not NULL. Of any other
    /// the column is 0, and the last one is left out.
    fileprivate static let followedByDetails = ColumnValue.integer(1)

    private init(_ row: ChecksummedRow<EventColumn>) throws(StoreError) {
        payload = try row.optionalInt64(.payload)
        let details = try row.optionalBytes(.details).map { bytes throws(StoreError) in
            try row.require(.details, EntryDetails(bytes))
        }
        let trace: TracePoint? =
            if let evaluation = try row.optionalInt(.k) {
                TracePoint(
                    evaluation: evaluation, step: try row.int(.step),
                    iteration: try row.int(.iteration), loss: try row.optionalDouble(.loss),
                    gradientNormInf: try row.optionalDouble(.gradientNorm),
                    stepLength: try row.double(.stepLength), time: try row.date(.evaluatedAt),
                    search: details?.search)
            } else { nil }
        entry = JournalEntry(
            sequence: try row.int(.sequence),
            kind: try row.require(.kind, JournalEntry.Kind(rawValue: try row.int(.kind))),
            time: try row.date(.time), trace: trace,
            resultDigest: try row.optionalDigest(.resultDigest),
            pointDigest: try row.optionalDigest(.pointDigest),
            closedEvaluation: try row.optionalInt(.closedEvaluation), status: try row.status(),
            progress: details?.progress)
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
        row.set(.details, EntryDetails(progress: progress, search: trace?.search).bytes)
        return row
    }

    /// Appends the entry's columns, without payload, to an encoding outside the table. There the
    /// session is known otherwise, and its column says whether the last one follows.
    func encode(to encoder: inout ColumnEncoder) {
        var values = row(session: 0, payload: nil).values
        if values.last == .null {
            values.removeLast()
        } else {
            values[EventColumn.session.rawValue] = EventRow.followedByDetails
        }
        encoder.append(values)
    }
}

/// Column `details` of `event`: what entries have said since schema version 6.
///
/// On disk: the mode (1 byte: 0 none, 1 torch, 2 robust), a byte whose bits say which of the
/// numbers below follow, from the lowest bit on, and these, little-endian, 8 bytes each: best loss
/// (Float64) and best evaluation, which share the lowest bit, then as Float64 the norm of the
/// newest gradient, and of the line search slope, loss and slope at the start, and the accepted
/// step length. NULL if there is nothing to say.
struct EntryDetails: Equatable {
    var progress: SessionProgress?
    var search: SearchTrace?

    private static let modes: [(code: UInt8, mode: Options.Mode)] = [(1, .torch), (2, .robust)]

    /// nil if there is nothing to store.
    var bytes: [UInt8]? {
        let search = search ?? SearchTrace()
        if progress == nil && search.isEmpty { return nil }
        let mode = progress.flatMap { progress in
            Self.modes.first { $0.mode == progress.mode }?.code
        }
        var bits: UInt8 = 0
        var numbers: [UInt8] = []
        if let best = progress?.best {
            bits = 1
            numbers.appendLittleEndian(best.loss.bitPattern)
            numbers.appendLittleEndian(UInt64(best.evaluation))
        }
        let others = [
            progress?.gradientNormInf, search.slope, search.startLoss, search.startSlope,
            search.acceptedStepLength,
        ]
        for (index, number) in others.enumerated() {
            guard let number else { continue }
            bits |= 2 << index
            numbers.appendLittleEndian(number.bitPattern)
        }
        return [mode ?? 0, bits] + numbers
    }

    init(progress: SessionProgress?, search: SearchTrace?) {
        self.progress = progress
        self.search = search
    }

    /// nil for bytes that are none of a column's.
    init?(_ bytes: [UInt8]) {
        var reader = LittleEndianReader(bytes[...])
        guard let code = reader.byte(), let bits = reader.byte(), bits < 1 << 6 else { return nil }
        func next() -> Double? { reader.integer(UInt64.self).map(Double.init(bitPattern:)) }
        var best: BestEvaluation?
        if bits & 1 != 0 {
            guard let loss = next(), let evaluation = reader.integer(Int64.self) else {
                return nil
            }
            best = BestEvaluation(loss: loss, evaluation: Int(evaluation))
        }
        var numbers: [Double?] = []
        for index in 0..<5 {
            let isThere = bits & (2 << index) != 0
            let number = isThere ? next() : nil
            if isThere && number == nil { return nil }
            numbers.append(number)
        }
        guard reader.isAtEnd else { return nil }
        let mode = Self.modes.first { $0.code == code }?.mode
        guard (mode == nil) == (code == 0) else { return nil }
        progress = mode.map {
            SessionProgress(best: best, mode: $0, gradientNormInf: numbers[0])
        }
        let found = SearchTrace(
            slope: numbers[1], startLoss: numbers[2], startSlope: numbers[3],
            acceptedStepLength: numbers[4])
        search = found.isEmpty ? nil : found
    }
}
