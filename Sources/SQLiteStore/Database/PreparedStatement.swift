import GRDB
import GRDBSQLite
import SessionModel

// Binds values to prepared statements and reads their rows, by SQLite's own functions. GRDB has the
// connections and caches the statements; its arguments and rows allocate several times a value.

/// A row of a query's result.
struct ResultRow: Sendable {
    let values: [ColumnValue]

    subscript(index: Int) -> ColumnValue { values[index] }

    /// The row without its first column.
    func dropFirst() -> ResultRow { ResultRow(values: Array(values.dropFirst())) }

    /// Throws `.corrupt` unless the column holds an integer.
    func int64(_ index: Int) throws(StoreError) -> Int64 {
        guard let value = values[index].integer else {
            throw .corrupt("column \(index) of a query's result is not an integer")
        }
        return value
    }

    func int(_ index: Int) throws(StoreError) -> Int { Int(try int64(index)) }
}

extension Database {
    /// Runs a query whose rows, if it has any, are not needed.
    func run(_ query: StoreQuery, _ values: [any ColumnConvertible]) throws {
        try run(query, binding: values.map(\.columnValue))
    }

    func run(_ query: StoreQuery, binding values: [ColumnValue]) throws {
        try step(query.sql, binding: values) { _ in }
    }

    /// All rows: a query that returns what it changes must run to its end.
    func rows(_ query: StoreQuery, _ values: [any ColumnConvertible]) throws -> [ResultRow] {
        try rows(sql: query.sql, values)
    }

    func rows(sql: String, _ values: [any ColumnConvertible] = []) throws -> [ResultRow] {
        var rows: [ResultRow] = []
        try step(sql, binding: values.map(\.columnValue)) { rows.append($0) }
        return rows
    }

    /// The first column of the first row, if it is an integer.
    func integer(_ query: StoreQuery, _ values: [any ColumnConvertible]) throws -> Int64? {
        try rows(query, values).first?[0].integer
    }

    /// Throws SQLite's error as GRDB would.
    private func step(
        _ sql: String, binding values: [ColumnValue], _ body: (ResultRow) -> Void
    ) throws {
        let prepared = try cachedStatement(sql: sql)
        // Sound: the statement belongs to this connection, which is used on this queue alone, and
        // is alive until this function returns.
        let handle = unsafe prepared.sqliteStatement
        var code = SQLITE_OK
        for (index, value) in values.enumerated() where code == SQLITE_OK {
            code = unsafe bind(value, to: Int32(index + 1), of: handle)
        }
        if code == SQLITE_OK {
            code = unsafe sqlite3_step(handle)
            while code == SQLITE_ROW {
                body(unsafe row(of: handle))
                code = unsafe sqlite3_step(handle)
            }
        }
        let message = code == SQLITE_DONE ? nil : lastErrorMessage
        // Its result repeats the failure of the step.
        _ = unsafe sqlite3_reset(handle)
        withExtendedLifetime(prepared) {}
        guard code == SQLITE_DONE else {
            throw DatabaseError(resultCode: ResultCode(rawValue: code), message: message, sql: sql)
        }
    }

    /// SQLite copies text and bytes before the call returns.
    @unsafe
    private func bind(_ value: ColumnValue, to index: Int32, of handle: OpaquePointer) -> CInt {
        // SQLITE_TRANSIENT, a macro that Swift cannot import: a destructor at the address -1.
        let copied = unsafe unsafeBitCast(-1, to: sqlite3_destructor_type.self)
        switch value {
        case .null:
            return unsafe sqlite3_bind_null(handle, index)
        case .integer(let integer):
            return unsafe sqlite3_bind_int64(handle, index, integer)
        case .real(let real):
            return unsafe sqlite3_bind_double(handle, index, real)
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

    /// Copies the row that the statement is at.
    @unsafe
    private func row(of handle: OpaquePointer) -> ResultRow {
        let count = unsafe sqlite3_column_count(handle)
        return ResultRow(
            values: (0..<count).map { index in
                switch unsafe sqlite3_column_type(handle, index) {
                case SQLITE_INTEGER: .integer(unsafe sqlite3_column_int64(handle, index))
                case SQLITE_FLOAT: .real(unsafe sqlite3_column_double(handle, index))
                case SQLITE_TEXT:
                    .text(unsafe String(decoding: content(of: handle, index), as: UTF8.self))
                case SQLITE_BLOB: .bytes(unsafe Array(content(of: handle, index)))
                default: .null
                }
            })
    }

    /// The bytes of a text or blob column, which are valid until the next step.
    @unsafe
    private func content(of handle: OpaquePointer, _ index: CInt) -> UnsafeRawBufferPointer {
        // In this order: the first call determines the representation that the second measures.
        let start = unsafe sqlite3_column_blob(handle, index)
        let count = unsafe sqlite3_column_bytes(handle, index)
        return unsafe UnsafeRawBufferPointer(start: start, count: Int(count))
    }
}
