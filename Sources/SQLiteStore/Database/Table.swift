/// The columns of a table that a row's checksum covers, in the order in which it does. The column's
/// name in SQL is its case's name in snake case; the checksum, `crc`, is not among the cases. `id`
/// is the first of them where other rows name the row by it.
protocol TableColumn: CaseIterable, RawRepresentable<Int>, Sendable {
    static var table: Table { get }
    /// How many of the last columns were added later. Those of them at the end of a row that are
    /// NULL are not among what its checksum covers, so that rows from before keep theirs.
    static var optionalColumns: Int { get }
}

extension TableColumn {
    static var optionalColumns: Int { 0 }
}

/// The one description of a table, from which its queries, and the binding and reading of its rows
/// follow: a row's values are set and read by column, never by position.
struct Table: Sendable {
    let name: String
    /// How many columns a row has without its checksum.
    let columnCount: Int
    /// All columns and the checksum.
    let columnList: String
    private let columns: [String]
    private let placeholders: String

    init<Column: TableColumn>(_ name: String, _: Column.Type) {
        self.name = name
        let columns = Column.allCases.map { Table.snakeCase(String(describing: $0)) }
        self.columns = columns + ["crc"]
        columnCount = columns.count
        columnList = (columns + ["crc"]).joined(separator: ", ")
        placeholders = Array(repeating: "?", count: columns.count + 1).joined(separator: ", ")
    }

    var insert: String { "INSERT INTO \(name) (\(columnList)) VALUES (\(placeholders))" }

    /// Inserts a row in place of one with the same key.
    var replace: String { insert.replacing("INSERT", with: "INSERT OR REPLACE") }

    func update(where condition: String) -> String {
        "UPDATE \(name) SET (\(columnList)) = (\(placeholders)) WHERE \(condition)"
    }

    /// Updates a row by the first `keys` of its columns, with the same values as `insert`.
    func update(byFirst keys: Int) -> String {
        let named = columns.enumerated().map { "\($1) = ?\($0 + 1)" }
        let (conditions, changes) = (named.prefix(keys), named.dropFirst(keys))
        return "UPDATE \(name) SET \(changes.joined(separator: ", ")) "
            + "WHERE \(conditions.joined(separator: " AND "))"
    }

    /// - Parameter clauses: What follows the table's name.
    func select(_ clauses: String) -> String { "SELECT \(columnList) FROM \(name) \(clauses)" }

    /// All columns and the checksum, for a query that joins tables.
    func columnList(of table: String) -> String {
        columns.map { "\(table).\($0)" }.joined(separator: ", ")
    }

    /// The same with the rowid before the columns.
    func selectWithID(_ clauses: String) -> String {
        "SELECT id, \(columnList) FROM \(name) \(clauses)"
    }

    private static func snakeCase(_ name: String) -> String {
        name.reduce(into: "") { snake, letter in
            snake += letter.isUppercase ? "_" + letter.lowercased() : String(letter)
        }
    }
}
