import DiskLog
import Foundation
import SessionModel

/// A row of a table. SQLite keeps no checksums of its pages, so each row has one over its other
/// columns: a flipped bit in a loss or a label is reported, not returned.
struct ChecksummedRow<Column: TableColumn> {
    /// In the order of the columns.
    private(set) var values: [ColumnValue]

    /// A row of NULLs.
    init() { values = Array(repeating: .null, count: Column.table.columnCount) }

    mutating func set(_ column: Column, _ value: some ColumnConvertible) {
        values[column.rawValue] = value.columnValue
    }

    /// The values and their checksum, as the table's queries bind them.
    var bound: [ColumnValue] { values + [.integer(checksum)] }

    private var checksum: Int64 { Int64(CRC32C.checksum(Self.sealed(values[...]))) }

    /// What the checksum covers.
    private static func sealed(_ values: ArraySlice<ColumnValue>) -> [UInt8] {
        let missing = values.suffix(Column.optionalColumns).reversed().prefix { $0 == .null }
        var encoder = ColumnEncoder(.fixedWidth, reserving: 256)
        encoder.append(values.dropLast(missing.count))
        return encoder.bytes
    }

    // MARK: Reading

    /// Throws `.corrupt` if the row doesn't match its checksum.
    /// - Parameter rowIDs: How many values precede the columns.
    init(_ row: ResultRow, rowIDs: Int = 0) throws(StoreError) {
        values = Array(row.values.dropFirst(rowIDs).dropLast())
        guard values.count == Column.table.columnCount, row.values.last == .integer(checksum)
        else { throw .corrupt("a row of \(Column.table.name) doesn't match its checksum") }
    }

    /// A row whose checksum does not match, with the one bit undone that makes it match; nil if
    /// there is none. Another row than what was written matches with a probability of some
    /// thousand, the row's bits, to 2^32.
    static func corrected(_ row: ResultRow) -> ResultRow? {
        guard row.values.count == Column.table.columnCount + 1,
            let stored = row.values.last?.integer.flatMap({ UInt32(exactly: $0) })
        else { return nil }
        var bytes = sealed(row.values.dropLast())
        let difference = CRC32C.checksum(bytes) ^ stored
        // A bit of the checksum itself, or one of the last four bytes: nobody can say which.
        guard difference.nonzeroBitCount != 1,
            let distance = CRC32C.flippedBit(difference, among: bytes.count * 8)
        else { return nil }
        bytes[bytes.count - 1 - distance / 8] ^= 0x80 >> UInt8(distance % 8)
        var decoder = ColumnDecoder(.fixedWidth, bytes[...])
        let required = Column.table.columnCount - Column.optionalColumns
        guard var values = try? decoder.values(required) else { return nil }
        while !decoder.isAtEnd, values.count < Column.table.columnCount {
            guard let value = try? decoder.values(1) else { return nil }
            values += value
        }
        guard decoder.isAtEnd else { return nil }
        while values.count < Column.table.columnCount { values.append(.null) }
        let corrected = ResultRow(values: values + [.integer(Int64(stored))])
        return (try? Self(corrected)) == nil ? nil : corrected
    }

    /// Values that were decoded from bytes whose checksum has been verified.
    init(decoded values: [ColumnValue]) {
        precondition(values.count == Column.table.columnCount, "\(values.count) columns")
        self.values = values
    }

    private func unexpected(_ column: Column) -> StoreError {
        .corrupt("column \(column) of a row of \(Column.table.name) isn't what was written")
    }

    func optionalInt64(_ column: Column) throws(StoreError) -> Int64? {
        switch values[column.rawValue] {
        case .integer(let value): return value
        case .null: return nil
        case .real, .text, .bytes: throw unexpected(column)
        }
    }

    func optionalText(_ column: Column) throws(StoreError) -> String? {
        switch values[column.rawValue] {
        case .text(let value): return value
        case .null: return nil
        case .real, .integer, .bytes: throw unexpected(column)
        }
    }

    func optionalBytes(_ column: Column) throws(StoreError) -> [UInt8]? {
        switch values[column.rawValue] {
        case .bytes(let value): return value
        case .null: return nil
        case .real, .integer, .text: throw unexpected(column)
        }
    }

    /// The value of a column, or `.corrupt` when it is absent or has no meaning.
    func require<Value>(_ column: Column, _ value: Value?) throws(StoreError) -> Value {
        guard let value else { throw unexpected(column) }
        return value
    }

    func int64(_ column: Column) throws(StoreError) -> Int64 {
        try require(column, optionalInt64(column))
    }
    func optionalInt(_ column: Column) throws(StoreError) -> Int? {
        try optionalInt64(column).map { Int($0) }
    }
    func int(_ column: Column) throws(StoreError) -> Int { Int(try int64(column)) }
    func text(_ column: Column) throws(StoreError) -> String {
        try require(column, optionalText(column))
    }
    func bytes(_ column: Column) throws(StoreError) -> [UInt8] {
        try require(column, optionalBytes(column))
    }
    func optionalDouble(_ column: Column) throws(StoreError) -> Double? {
        try optionalInt64(column).map { Double(bitPattern: UInt64(bitPattern: $0)) }
    }
    func double(_ column: Column) throws(StoreError) -> Double {
        try require(column, optionalDouble(column))
    }
    func optionalDate(_ column: Column) throws(StoreError) -> Date? {
        try optionalInt64(column).map(Date.init(microseconds:))
    }
    func date(_ column: Column) throws(StoreError) -> Date {
        try require(column, optionalDate(column))
    }
    func optionalDigest(_ column: Column) throws(StoreError) -> Digest? {
        guard let bytes = try optionalBytes(column) else { return nil }
        return try require(column, Digest(bytes: bytes))
    }
}

/// The columns of a table whose rows say where a session stands.
protocol StatusColumn: TableColumn {
    static var standingPhase: Self { get }
    static var standingStep: Self { get }
    static var standingEvaluation: Self { get }
    static var standingLoss: Self { get }
}

extension ChecksummedRow where Column: StatusColumn {
    mutating func set(_ status: SessionStatus) {
        set(.standingPhase, status.phase.rawValue)
        set(.standingStep, status.step)
        set(.standingEvaluation, status.evaluation)
        set(.standingLoss, status.loss)
    }

    func status() throws(StoreError) -> SessionStatus {
        SessionStatus(
            phase: try require(
                .standingPhase, SessionPhase(rawValue: try text(.standingPhase))),
            step: try int(.standingStep), evaluation: try int(.standingEvaluation),
            loss: try optionalDouble(.standingLoss))
    }
}
