import Foundation
import GRDB
import GRDBSQLite
import SessionModel

/// A value on its way into a row. What every accepted evaluation writes is bound to its statement
/// as it stands: GRDB's own arguments allocate several times a value.
enum ColumnValue {
    case null
    case integer(Int64)
    case text(String)
    case bytes([UInt8])
}

extension Database {
    /// Runs a statement that returns no rows. Throws what SQLite says, as GRDB would.
    func run(_ statement: Statement, binding values: [ColumnValue]) throws {
        let prepared = try cachedStatement(sql: statement.rawValue)
        // Sound: the statement is the connection's own, which is used on this queue alone, and it
        // is alive until this function returns.
        let handle = unsafe prepared.sqliteStatement
        var code = SQLITE_OK
        for (index, value) in values.enumerated() where code == SQLITE_OK {
            code = unsafe bind(value, to: Int32(index + 1), of: handle)
        }
        if code == SQLITE_OK {
            code = unsafe sqlite3_step(handle)
            // What it returns is the failure of the step over again.
            _ = unsafe sqlite3_reset(handle)
        }
        withExtendedLifetime(prepared) {}
        guard code == SQLITE_DONE else {
            throw DatabaseError(
                resultCode: ResultCode(rawValue: code), message: lastErrorMessage,
                sql: statement.rawValue)
        }
    }

    /// SQLite copies text and bytes before the call returns.
    @unsafe
    private func bind(_ value: ColumnValue, to index: Int32, of handle: OpaquePointer) -> CInt {
        // SQLITE_TRANSIENT, a macro that Swift can't import: a destructor at the address -1.
        let copied = unsafe unsafeBitCast(-1, to: sqlite3_destructor_type.self)
        switch value {
        case .null:
            return unsafe sqlite3_bind_null(handle, index)
        case .integer(let integer):
            return unsafe sqlite3_bind_int64(handle, index, integer)
        case .text(let text):
            var text = text
            return text.withUTF8 { bytes in
                unsafe bytes.withMemoryRebound(to: CChar.self) { characters in
                    unsafe sqlite3_bind_text(
                        handle, index, characters.baseAddress, CInt(characters.count), copied)
                }
            }
        case .bytes(let bytes):
            guard !bytes.isEmpty else { return unsafe sqlite3_bind_zeroblob(handle, index, 0) }
            return unsafe bytes.withUnsafeBytes { buffer in
                unsafe sqlite3_bind_blob(
                    handle, index, buffer.baseAddress, CInt(buffer.count), copied)
            }
        }
    }
}

extension ColumnValue {
    /// For statements that GRDB runs.
    var databaseValue: DatabaseValue {
        switch self {
        case .null: .null
        case .integer(let integer): integer.databaseValue
        case .text(let text): text.databaseValue
        case .bytes(let bytes): Data(bytes).databaseValue
        }
    }
}

/// What a row's checksum is computed over: each value's kind, its length where that varies, and
/// its bytes.
struct SealedBytes: RowWriter {
    private(set) var bytes: [UInt8] = []

    init(reserving capacity: Int) { bytes.reserveCapacity(capacity) }

    var checksum: Int64 { Int64(CRC32C.checksum(bytes)) }

    mutating func addNull() { bytes.append(0) }

    mutating func add(_ integer: Int64?) {
        guard let integer else { return addNull() }
        bytes.append(1)
        append(integer)
    }

    /// As SQLite's own kind of number, which none of our columns has.
    mutating func addReal(_ double: Double) {
        bytes.append(2)
        append(Int64(bitPattern: double.bitPattern))
    }

    mutating func add(_ text: String?) {
        guard let text else { return addNull() }
        bytes.append(3)
        append(Int64(text.utf8.count))
        bytes.append(contentsOf: text.utf8)
    }

    mutating func add(_ blob: [UInt8]?) {
        if let blob { addBlob(blob) } else { addNull() }
    }

    mutating func addBlob(_ blob: some Collection<UInt8>) {
        bytes.append(4)
        append(Int64(blob.count))
        bytes.append(contentsOf: blob)
    }

    private mutating func append(_ word: Int64) {
        bytes.appendLittleEndian(word)
    }
}

/// Reads back what `SealedBytes` has added up.
struct SealedBytesReader {
    private var rest: ArraySlice<UInt8>

    init(_ bytes: ArraySlice<UInt8>) { rest = bytes }

    /// nil at the end.
    mutating func next() throws(StoreError) -> DatabaseValue? {
        guard let kind = rest.popFirst() else { return nil }
        switch kind {
        case 0: return .null
        case 1: return try word().databaseValue
        case 2: return Double(bitPattern: UInt64(bitPattern: try word())).databaseValue
        case 3:
            let text = try take(Int(clamping: try word()))
            return String(decoding: text, as: UTF8.self).databaseValue
        case 4: return Data(try take(Int(clamping: try word()))).databaseValue
        default: throw .corrupt("a column is of no known kind")
        }
    }

    private mutating func word() throws(StoreError) -> Int64 {
        Int64(littleEndianBytes: try take(8))
    }

    private mutating func take(_ count: Int) throws(StoreError) -> ArraySlice<UInt8> {
        guard count >= 0, count <= rest.count else { throw .corrupt("a column ends too early") }
        defer { rest = rest.dropFirst(count) }
        return rest.prefix(count)
    }
}
