import GRDB
import SessionModel

/// What a write may do: change the database, and append to the segments. Lives on the committer's
/// queue, for one transaction.
struct WriteTransaction {
    let database: Database
    var segments: SegmentLog
    let journals: JournalEnds
    let inlineBytesMax: Int
    let tracePointsMax: Int
    let pending: PendingEntries
    /// Up to where pending entries are in the tables with this transaction, or go with them.
    var settled: [SessionID: SequenceNumber] = [:]
    /// Whether many rows at once were deleted.
    var freesPages = false

    /// The rows as this transaction left them.
    var reading: ReadTransaction {
        ReadTransaction(database: database, segmentDirectory: "")
    }
}

extension Database {
    func run(_ statement: Statement, _ arguments: StatementArguments) throws {
        try cachedStatement(sql: statement.rawValue).execute(arguments: arguments)
    }

    /// All rows: a statement that returns what it changes must be run to its end.
    func rows(_ statement: Statement, _ arguments: StatementArguments) throws -> [Row] {
        try Row.fetchAll(cachedStatement(sql: statement.rawValue), arguments: arguments)
    }

    /// The first column of the first row, if it is an integer.
    func integer(_ statement: Statement, _ arguments: StatementArguments) throws -> Int64? {
        guard
            case .int64(let value)? = try rows(statement, arguments).first?.databaseValues
                .first?.storage
        else { return nil }
        return value
    }
}
