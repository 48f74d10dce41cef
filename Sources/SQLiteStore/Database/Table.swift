/// The columns of a table whose rows carry a checksum, in the order of the schema. The column's
/// name in SQL is its case's name in snake case; the rowid before the columns, if it is read, and
/// the checksum after them, `crc`, are not among the cases.
protocol TableColumn: CaseIterable, RawRepresentable<Int>, Sendable {
    static var table: Table { get }
}

/// The one description of a table, from which its queries, and the binding and reading of its rows
/// follow: a row's values are set and read by column, never by position.
struct Table: Sendable {
    let name: String
    /// How many columns a row has without its checksum.
    let columnCount: Int
    /// All columns but the rowid.
    let columnList: String
    private let placeholders: String

    init<Column: TableColumn>(_ name: String, _: Column.Type) {
        self.name = name
        let columns = Column.allCases.map { Table.snakeCase(String(describing: $0)) }
        columnCount = columns.count
        columnList = (columns + ["crc"]).joined(separator: ", ")
        placeholders = Array(repeating: "?", count: columns.count + 1).joined(separator: ", ")
    }

    var insert: String { "INSERT INTO \(name) (\(columnList)) VALUES (\(placeholders))" }

    func update(where condition: String) -> String {
        "UPDATE \(name) SET (\(columnList)) = (\(placeholders)) WHERE \(condition)"
    }

    /// - Parameter clauses: What follows the table's name.
    func select(_ clauses: String) -> String { "SELECT \(columnList) FROM \(name) \(clauses)" }

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
