import DiskLog
import Foundation
import GRDB
public import SessionModel

// Theory of operation
//
// Everything is looked at once, in the order in which damage shows best: SQLite's own structures,
// then the rows of each table against their checksums, then what rows name in other tables and in
// files, then the write-ahead log. Rows come a thousand at a time. Which blobs are named, and how,
// is collected in a table of its own in the copy, so that the memory needed does not grow with the
// store.
//
// A row that does not match its checksum is reported once, and what it would have said is not: so
// further findings may follow from it (a blob that only it named), which is said of none of them.

/// Checks what a data directory holds, without the engine: `SessionReplay` does the rest.
public struct StoreVerifier {
    let store: InspectedStore
    let tables: ReadTransaction
    private(set) var result = StoreVerification()
    /// Sessions by the rowid that names them in other tables.
    var sessions: [Int64: SessionID] = [:]

    /// Checks the directory. O(bytes of the store).
    public static func verify(_ store: InspectedStore) throws(StoreError) -> StoreVerification {
        try store.read { tables in
            var verifier = StoreVerifier(store: store, tables: tables)
            verifier.result.findings = store.findings
            try verifier.run()
            return verifier.result
        }
    }

    private mutating func run() throws {
        try checkDatabase()
        try attempt("the table session") { try $0.checkSessions() }
        try attempt("the journals") { try $0.checkJournals() }
        try attempt("the table chapter") { try $0.checkTraces() }
        try attempt("the table snapshot") { try $0.checkSnapshots() }
        try attempt("the table checkpoint") { try $0.checkCheckpoints() }
        try attempt("the table step") { try $0.checkSteps() }
        try attempt("a table") { try $0.checkOthers() }
        try attempt("the tables of ensembles") { try $0.checkEnsembles() }
        try attempt("the table blob") { try $0.checkBlobs() }
        try attempt("the table segment") { try $0.checkSegments() }
        try attempt("the write-ahead log") { try $0.checkLog() }
        result.sessions = sessions.count
    }

    /// Runs a part of the check, which damage to the database's own structures may end.
    private mutating func attempt(
        _ part: String, _ body: (inout StoreVerifier) throws -> Void
    ) throws {
        do {
            try body(&self)
        } catch {
            switch StoreFailure(error, directory: store.directory).ofReading {
            case .corrupt(let what), .failed(let what):
                found(what: "\(part) can't be read to its end: \(what)")
            case let other: throw other
            }
        }
    }

    // MARK: Findings

    mutating func found(
        _ session: SessionID? = nil, file: String = StoreFinding.tables, offset: Int? = nil,
        what: String
    ) {
        result.findings.append(
            StoreFinding(session: session, file: file, offset: offset, what: what))
    }

    mutating func noted(file: String, offset: Int? = nil, what: String) {
        result.notes.append(StoreFinding(file: file, offset: offset, what: what))
    }

    mutating func read(_ bytes: Int) { result.bytes += bytes }

    // MARK: Rows

    private static let rowsAtOnce = 1000

    /// Calls `body` with each row of a table that matches its checksum, and reports the others.
    /// - Parameter others: Columns that the checksum does not cover; they come first.
    mutating func forEachRow<Column: TableColumn>(
        _: Column.Type, others: [String] = [], session: Column? = nil,
        _ body: (inout StoreVerifier, _ rowID: Int64, ResultRow) throws -> Void
    ) throws {
        let columns = (["rowid"] + others + [Column.table.columnList]).joined(separator: ", ")
        let sql = """
            SELECT \(columns) FROM \(Column.table.name) WHERE rowid > ? ORDER BY rowid \
            LIMIT \(Self.rowsAtOnce)
            """
        var last = Int64.min
        while true {
            let rows = try tables.database.rows(sql: sql, [last])
            for row in rows {
                last = try row.int64(0)
                let values = ResultRow(values: Array(row.values.dropFirst(1 + others.count)))
                // What a damaged row says of its session is a hint at most, and one that a reader
                // can use.
                let owner = session.flatMap { column -> SessionID? in
                    values[column.rawValue].integer.flatMap { sessions[$0] }
                }
                do {
                    _ = try ChecksummedRow<Column>(values)
                    try body(&self, last, ResultRow(values: Array(row.values.dropFirst())))
                } catch let error as StoreError {
                    guard case .corrupt(let what) = error else { throw error }
                    found(owner, what: "\(what) (rowid \(last))")
                }
            }
            if rows.count < Self.rowsAtOnce { return }
        }
    }

    /// The same for a table without rowids, whose rows are few or small.
    mutating func forEachRowWithoutID<Column: TableColumn>(
        _: Column.Type, _ body: (inout StoreVerifier, ResultRow) throws -> Void
    ) throws {
        for row in try tables.database.rows(sql: Column.table.select("")) {
            do {
                _ = try ChecksummedRow<Column>(row)
                try body(&self, row)
            } catch let error as StoreError {
                guard case .corrupt(let what) = error else { throw error }
                found(what: what)
            }
        }
    }

    /// Reports what a query finds: its rows' first columns, as a finding each.
    mutating func report(
        _ sql: String, ofSession: Bool = false, _ what: (Int64) -> String
    ) throws {
        for row in try tables.database.rows(sql: sql) {
            let number = try row.int64(0)
            found(ofSession ? sessions[number] : nil, what: what(number))
        }
    }

    func owner(_ row: Int64, in table: String) throws -> SessionID {
        guard let session = sessions[row] else {
            throw StoreError.corrupt("a row of \(table) is of session \(row), which is not there")
        }
        return session
    }
}

// MARK: - SQLite's structures

extension StoreVerifier {
    fileprivate mutating func checkDatabase() throws {
        try attempt("the database") { verifier in
            let database = verifier.tables.database
            for text in try String.fetchAll(database, sql: "PRAGMA integrity_check")
            where text != "ok" {
                verifier.found(what: text)
            }
            for row in try Row.fetchAll(database, sql: "PRAGMA foreign_key_check") {
                let table: String = row["table"] ?? "?"
                let number: Int64 = row["rowid"] ?? 0
                verifier.found(
                    what: "a row of \(table) is of a session that is not there (rowid \(number))")
            }
        }
        try attempt("the schema") { try $0.checkSchema() }
        try attempt("the row of store") { verifier in
            let store = try verifier.tables.database.storeRow()
            let count = try Int.fetchOne(
                verifier.tables.database, sql: "SELECT count(*) FROM session")
            if store.sessions != count {
                verifier.found(
                    what: "store.sessions is \(store.sessions), and there are \(count ?? 0)")
            }
            for table in ["session", "blob", "delivery"] {
                let sql = """
                    SELECT 1 WHERE ifnull((SELECT max(id) FROM \(table)), 0) >
                        ifnull((SELECT seq FROM sqlite_sequence WHERE name = '\(table)'), 0)
                    """
                if try Int.fetchOne(verifier.tables.database, sql: sql) != nil {
                    verifier.found(
                        what: "sqlite_sequence is behind the newest identifier of \(table)")
                }
            }
        }
    }

    /// The tables must be those that the migrations make, to the letter.
    private mutating func checkSchema() throws {
        let names = try Schema.differences(in: tables.database)
        if !names.isEmpty {
            found(
                what: "the schema is not that of version \(Schema.newestVersion): "
                    + names.joined(separator: ", "))
        }
        let vacuum = try Int.fetchOne(tables.database, sql: "PRAGMA auto_vacuum")
        if vacuum != 2 { self.found(what: "the database's header has auto_vacuum \(vacuum ?? 0)") }
    }
}

extension Schema {
    /// The names of tables and indexes that are not what the migrations make, to the letter.
    static func differences(in database: Database) throws -> [String] {
        let sql = "SELECT name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%' ORDER BY name"
        let fresh = try DatabaseQueue(configuration: Configuration())
        let expected = try fresh.writeWithoutTransaction { database in
            try Schema.prepare(database)
            return try database.rows(sql: sql).map(\.values)
        }
        let found = try database.rows(sql: sql).map(\.values)
        guard found != expected else { return [] }
        let names = Set(zip(found, expected).filter { $0 != $1 }.map { "\($0.0[0])" })
        return names.isEmpty ? ["tables"] : names.sorted()
    }
}
