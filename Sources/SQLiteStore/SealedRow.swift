import Foundation
import GRDB
import Sessions

/// A row's values in the order of its columns. SQLite keeps no checksum of its pages, so each row
/// ends with one over the others: a flipped bit in a loss or a label is noticed, not returned.
///
/// Floats are stored as their bit patterns: SQLite turns a NaN into NULL and -0.0 into 0, and the
/// numbers must come back bit for bit.
struct SealedRow {
    private var values: [DatabaseValue] = []

    mutating func add(_ value: Int?) { values.append(value?.databaseValue ?? .null) }
    mutating func add(_ value: Int64?) { values.append(value?.databaseValue ?? .null) }
    mutating func add(_ value: String?) { values.append(value?.databaseValue ?? .null) }
    mutating func add(_ value: [UInt8]?) {
        values.append(value.map { Data($0).databaseValue } ?? .null)
    }
    mutating func add(_ value: Double?) {
        add(value.map { Int64(bitPattern: $0.bitPattern) })
    }
    mutating func add(_ value: Date) { add(value.microseconds) }
    mutating func add(_ value: Digest?) { add(value?.bytes) }
    mutating func add(_ value: SessionStanding) {
        add(value.phase.rawValue)
        add(value.step)
        add(value.evaluation)
        add(value.loss)
    }

    /// The values, then their checksum.
    var arguments: StatementArguments {
        StatementArguments(values + [SealedRow.checksum(values).databaseValue])
    }

    /// Over each value's kind, its length where that varies, and its bytes.
    static func checksum(_ values: some Sequence<DatabaseValue>) -> Int64 {
        var bytes: [UInt8] = []
        func append(_ word: Int64) {
            for shift in stride(from: Int64(0), to: 64, by: 8) {
                bytes.append(UInt8(truncatingIfNeeded: word >> shift))
            }
        }
        for value in values {
            switch value.storage {
            case .null:
                bytes.append(0)
            case .int64(let integer):
                bytes.append(1)
                append(integer)
            case .double(let double):
                bytes.append(2)
                append(Int64(bitPattern: double.bitPattern))
            case .string(let string):
                bytes.append(3)
                append(Int64(string.utf8.count))
                bytes.append(contentsOf: string.utf8)
            case .blob(let data):
                bytes.append(4)
                append(Int64(data.count))
                bytes.append(contentsOf: data)
            }
        }
        return Int64(CRC32C.checksum(bytes))
    }
}

/// Reads a sealed row back, column by column.
struct SealedRowReader {
    private let values: [DatabaseValue]
    private let table: String
    private var position = 0

    /// `leading` columns come before the sealed ones (a rowid). Throws `.corrupt` if the seal is
    /// broken.
    init(_ row: Row, of table: String, leading: Int = 0) throws(StoreError) {
        let values = Array(row.databaseValues)
        self.values = Array(values.dropFirst(leading).dropLast())
        self.table = table
        guard case .int64(let seal)? = values.last?.storage,
            seal == SealedRow.checksum(self.values)
        else { throw .corrupt("a row of \(table) doesn't match its checksum") }
    }

    private mutating func next() throws(StoreError) -> DatabaseValue {
        guard position < values.count else { throw unexpected }
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
    mutating func standing() throws(StoreError) -> SessionStanding {
        SessionStanding(
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
