import DiskLog
public import SessionModel

/// Every bound of the store. The defaults suit a machine with a few cores and one disk.
public struct SQLiteStoreLimits: Equatable, Sendable {
    /// Payloads and vectors up to this size are stored in SQLite, longer ones in segment files.
    /// Below this size rows are cheaper than a second file to sync; above it, writing every byte
    /// twice, through SQLite's WAL, costs more.
    public var inlineBytesMax = 16 * 1024
    /// Entries that come alone, with a payload up to this size, go to the write-ahead log.
    public var loggedBytesMax = 16 * 1024
    /// A file of the write-ahead log is full when it has this many bytes, or this many entries.
    /// There are two files, and their entries are in memory too.
    public var logFileBytesMax = 32 * 1024 * 1024
    public var logFileEntriesMax = 64 * 1024
    /// When nothing has been logged for this long, the log's entries are flushed to the tables.
    public var quietSeconds = 1.0
    /// Payloads and vectors from this size on get a segment of their own, which is written outside
    /// the committer: short writes of others don't wait for it, and deleting it frees its space.
    public var stagedBytesMin = Octets.longMin
    /// The same for payloads that are written while they arrive, which costs no time.
    public var arrivingBytesMin = 256 << 10
    /// A segment that has grown to this size takes no more: the next transaction opens another.
    public var segmentBytesMax = 256 * 1024 * 1024
    /// Points of a session's trace, and its steps. Past this count the trace is thinned out, and
    /// the oldest steps are deleted.
    public var tracePointsMax = Limits().tracePointsMax
    /// Idempotency keys, and messages that have ended.
    public var keptPerSession = KeptPerSession()
    /// Writes that share one transaction, and the sum of their bytes. A longer write gets a
    /// transaction of its own.
    public var groupWritesMax = 256
    public var groupBytesMax = 64 * 1024 * 1024
    /// An event-loop thread appends up to this many entries to the log itself, as long as a sync
    /// takes no longer than this on average. The bounds are low because it serves no other request
    /// meanwhile.
    public var eventLoopEntriesMax = 16
    public var eventLoopSyncMicrosecondsMax = 1000
    /// Writes that wait for the committer, and the sum of their bytes; more are refused. A longer
    /// write is accepted when nothing waits. Batches are not refused: a session asks before it
    /// changes, and has one batch at a time.
    public var waitingWritesMax = Limits().waitingWritesMax
    public var waitingBytesMax = Limits().waitingWriteBytesMax
    /// Space that is kept to remove things from a full disk; 0 for none.
    public var ballastBytes = 0
    /// Read-only connections, each with a thread, and reads that wait for one of them.
    public var readersMax = 4
    public var waitingReadsMax = Limits().waitingReadsMax
    /// Pages written to SQLite's WAL, as estimated, before it is copied back into the database: 32
    /// MiB. A page that is written often is copied once. Recovering that many after a crash takes
    /// some tens of milliseconds.
    public var walPagesBeforeCheckpoint = 8 * 1024
    /// A WAL that readers have kept from being overwritten until it has this many pages is
    /// truncated after waiting for them.
    public var walPagesMax = 16 * 1024

    public init() {}

    var log: WriteAheadLogLimits {
        WriteAheadLogLimits(fileBytesMax: logFileBytesMax, fileRecordsMax: logFileEntriesMax)
    }
}
