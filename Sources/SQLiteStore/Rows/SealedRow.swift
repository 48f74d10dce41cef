import Foundation
import GRDB
import SessionModel

/// A row's values in the order of its columns. SQLite keeps no checksum of its pages, so each row
/// ends with one over the others: a flipped bit in a loss or a label is noticed, not returned.
///
/// Floats are stored as their bit patterns: SQLite turns a NaN into NULL and -0.0 into 0, and the
/// numbers must come back bit for bit.
struct SealedRow: RowWriter {
    private var columns: [ColumnValue] = []
    private var seal = SealedBytes(reserving: 256)

    init() { columns.reserveCapacity(24) }

    mutating func add(_ value: Int64?) {
        columns.append(value.map { .integer($0) } ?? .null)
        seal.add(value)
    }
    mutating func add(_ value: String?) {
        columns.append(value.map { .text($0) } ?? .null)
        seal.add(value)
    }
    mutating func add(_ value: [UInt8]?) {
        columns.append(value.map { .bytes($0) } ?? .null)
        seal.add(value)
    }

    /// The values, then their checksum.
    var values: [ColumnValue] { columns + [.integer(seal.checksum)] }

    /// The same for statements that GRDB runs.
    var arguments: StatementArguments { StatementArguments(values.map(\.databaseValue)) }

    fileprivate static func checksum(_ values: ArraySlice<DatabaseValue>) -> Int64 {
        var seal = SealedBytes(reserving: 256)
        for value in values {
            switch value.storage {
            case .null: seal.addNull()
            case .int64(let integer): seal.add(integer)
            case .double(let double): seal.addReal(double)
            case .string(let string): seal.add(string)
            case .blob(let data): seal.addBlob(data)
            }
        }
        return seal.checksum
    }
}

/// Takes a row's values in the order of its columns.
protocol RowWriter {
    mutating func add(_ value: Int64?)
    mutating func add(_ value: String?)
    mutating func add(_ value: [UInt8]?)
}

extension RowWriter {
    mutating func add(_ value: Int?) { add(value.map(Int64.init)) }
    mutating func add(_ value: Double?) {
        add(value.map { Int64(bitPattern: $0.bitPattern) })
    }
    mutating func add(_ value: Date) { add(value.microseconds) }
    mutating func add(_ value: Digest?) { add(value?.bytes) }
    mutating func add(_ value: SessionStatus) {
        add(value.phase.rawValue)
        add(value.step)
        add(value.evaluation)
        add(value.loss)
    }
}

/// Reads a sealed row back, column by column.
struct SealedRowReader {
    private let values: ArraySlice<DatabaseValue>
    private let table: String
    private var position: Int

    /// `leading` columns come before the sealed ones (a rowid). Throws `.corrupt` if the seal is
    /// broken.
    init(_ row: Row, of table: String, leading: Int = 0) throws(StoreError) {
        let values = Array(row.databaseValues)
        self.values = values.dropFirst(leading).dropLast()
        position = self.values.startIndex
        self.table = table
        guard case .int64(let seal)? = values.last?.storage,
            seal == SealedRow.checksum(self.values)
        else { throw .corrupt("a row of \(table) doesn't match its checksum") }
    }

    /// What a row's bytes say; whoever kept them has compared a checksum.
    init(_ bytes: ArraySlice<UInt8>, of table: String) throws(StoreError) {
        var rest = SealedBytesReader(bytes)
        var values: [DatabaseValue] = []
        while let value = try rest.next() { values.append(value) }
        self.values = values[...]
        position = 0
        self.table = table
    }

    /// Values whose checksum was compared.
    init(_ values: [DatabaseValue], of table: String) {
        self.values = values[...]
        position = 0
        self.table = table
    }

    private mutating func next() throws(StoreError) -> DatabaseValue {
        guard position < values.endIndex else { throw unexpected }
        defer { position += 1 }
        return values[position]
    }

    private var unexpected: StoreError {
        .corrupt("column \(position) of a row of \(table) isn't what was written")
    }

    mutating func optionalInt64() throws(StoreError) -> Int64? {
        switch try next().storage {
        case .int64(let value): return value
        case .null: return nil
        case .double, .string, .blob: throw unexpected
        }
    }

    mutating func optionalText() throws(StoreError) -> String? {
        switch try next().storage {
        case .string(let value): return value
        case .null: return nil
        case .double, .int64, .blob: throw unexpected
        }
    }

    mutating func optionalBytes() throws(StoreError) -> [UInt8]? {
        switch try next().storage {
        case .blob(let value): return Array(value)
        case .null: return nil
        case .double, .int64, .string: throw unexpected
        }
    }

    /// The value, or `.corrupt` when it is absent or means nothing.
    func require<Value>(_ value: Value?) throws(StoreError) -> Value {
        guard let value else { throw unexpected }
        return value
    }

    mutating func optionalInt() throws(StoreError) -> Int? {
        try optionalInt64().map { Int($0) }
    }
    mutating func int() throws(StoreError) -> Int { try require(optionalInt()) }
    mutating func int64() throws(StoreError) -> Int64 { try require(optionalInt64()) }
    mutating func text() throws(StoreError) -> String { try require(optionalText()) }
    mutating func optionalDouble() throws(StoreError) -> Double? {
        try optionalInt64().map { Double(bitPattern: UInt64(bitPattern: $0)) }
    }
    mutating func double() throws(StoreError) -> Double { try require(optionalDouble()) }
    mutating func date() throws(StoreError) -> Date { Date(microseconds: try int64()) }
    mutating func optionalDate() throws(StoreError) -> Date? {
        try optionalInt64().map(Date.init(microseconds:))
    }
    mutating func optionalDigest() throws(StoreError) -> Digest? {
        guard let bytes = try optionalBytes() else { return nil }
        return try require(Digest(bytes: bytes))
    }
    mutating func status() throws(StoreError) -> SessionStatus {
        SessionStatus(
            phase: try require(SessionPhase(rawValue: try text())), step: try int(),
            evaluation: try int(), loss: try optionalDouble())
    }
}

extension Date {
    /// Since 1970. What a store keeps of a date: reading gives the date rounded to it.
    var microseconds: Int64 { Int64((timeIntervalSince1970 * 1e6).rounded()) }

    init(microseconds: Int64) {
        self.init(timeIntervalSince1970: Double(microseconds) / 1e6)
    }
}
