import DiskLog
import GRDB
import SessionModel

enum StoreColumn: Int, TableColumn {
    case id, sessions, probes, moved, logSalt, pageKey

    static let table = Table("store", Self.self)
}

/// The one row of `store`.
struct StoreRow {
    /// How many sessions there are.
    var sessions: Int
    /// Durable writes that were made to prove that the disk takes them.
    var probes: Int
    /// The epoch of the write-ahead log up to which the tables have all entries.
    var checkpointedEpoch: UInt64
    /// The salt of the log's frames; empty if it has none yet.
    var logSalt: [UInt8]
    /// The key of page tokens; 16 random bytes that stay.
    var pageKey: [UInt8]

    init(_ result: ResultRow) throws(StoreError) {
        let row = try ChecksummedRow<StoreColumn>(result)
        sessions = try row.int(.sessions)
        probes = try row.int(.probes)
        checkpointedEpoch = try row.require(.moved, UInt64(exactly: try row.int64(.moved)))
        logSalt = try row.bytes(.logSalt)
        pageKey = try row.bytes(.pageKey)
    }

    var row: ChecksummedRow<StoreColumn> {
        var row = ChecksummedRow<StoreColumn>()
        row.set(.id, 1)
        row.set(.sessions, sessions)
        row.set(.probes, probes)
        row.set(.moved, Int64(clamping: checkpointedEpoch))
        row.set(.logSalt, logSalt)
        row.set(.pageKey, pageKey)
        return row
    }
}

enum TombstoneColumn: Int, TableColumn {
    case publicId, moved

    static let table = Table("tombstone", Self.self)

    /// Stands for all sessions that were deleted before there were tombstones.
    static let unknownSessions = ""

    static func row(_ publicID: String, checkpointedEpoch: UInt64) -> ChecksummedRow<Self> {
        var row = ChecksummedRow<Self>()
        row.set(.publicId, publicID)
        row.set(.moved, Int64(clamping: checkpointedEpoch))
        return row
    }
}

extension Database {
    func storeRow() throws -> StoreRow {
        guard let row = try rows(.store, []).first else {
            throw StoreError.corrupt("the table store has no row")
        }
        return try StoreRow(row)
    }

    func updateStoreRow(_ change: (inout StoreRow) -> Void) throws {
        var row = try storeRow()
        change(&row)
        try run(.updateStore, binding: row.row.bound)
    }
}
