import DiskLog
import GRDB
import SessionModel

/// One transaction on the writer's queue: changes the database, and appends to the segments.
struct WriteTransaction {
    let database: Database
    var segments: SegmentLog
    let tails: JournalTailCache
    let memtable: EntryMemtable
    let inlineBytesMax: Int
    let tracePointsMax: Int
    let keptPerSession: KeptPerSession
    /// By session, the entry up to which this transaction flushes the memtable; `.max` for deleted
    /// sessions.
    var flushedThrough: [SessionID: SequenceNumber] = [:]
    /// The newest blob's identifier, once this transaction has made one.
    var newestBlob: Int64?
    /// Whether the transaction deletes many rows at once.
    var freesPages = false

    /// The rows as this transaction left them.
    var reading: ReadTransaction {
        ReadTransaction(database: database, segments: segments.directory)
    }
}
