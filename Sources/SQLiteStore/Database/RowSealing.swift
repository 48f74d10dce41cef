import DiskLog
import GRDB
import SessionModel

/// The part of a migration that gives the rows of a table checksums. It names the columns itself:
/// what it writes stays what the migration's version has, whatever later versions add.
struct RowSealing {
    let table: String
    /// The columns by which a row is found.
    let key: [String]
    /// What the checksum covers, in order.
    let columns: [String]
    /// What it covered before; nil if there was none. A row that doesn't match that checksum keeps
    /// it: it is damaged, and stays so.
    var formerly: Range<Int>?

    private static let rowsAtOnce = 1000

    func run(in database: Database) throws {
        let keys = key.joined(separator: ", ")
        let selected = (key + columns + ["crc"]).joined(separator: ", ")
        let marks = Array(repeating: "?", count: key.count).joined(separator: ", ")
        let first = "SELECT \(selected) FROM \(table) ORDER BY \(keys) LIMIT \(Self.rowsAtOnce)"
        let next = """
            SELECT \(selected) FROM \(table) WHERE (\(keys)) > (\(marks)) \
            ORDER BY \(keys) LIMIT \(Self.rowsAtOnce)
            """
        let update = "UPDATE \(table) SET crc = ? WHERE (\(keys)) = (\(marks))"
        var rows = try database.rows(sql: first)
        while let last = rows.last {
            for row in rows {
                let names = row.values.prefix(key.count)
                let values = Array(row.values[key.count..<key.count + columns.count])
                if let formerly,
                    row.values.last != .integer(Self.checksum(values[formerly]))
                {
                    continue
                }
                _ = try database.rows(
                    sql: update, [ColumnValue.integer(Self.checksum(values[...]))] + names)
            }
            rows = try database.rows(sql: next, Array(last.values.prefix(key.count)))
        }
    }

    static func checksum(_ values: ArraySlice<ColumnValue>) -> Int64 {
        var encoder = ColumnEncoder(.fixedWidth, reserving: 256)
        encoder.append(values)
        return Int64(CRC32C.checksum(encoder.bytes))
    }
}
