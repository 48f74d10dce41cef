internal import SessionModel

/// Every bound of the store. The defaults suit a machine with a few cores and one disk.
public struct SQLiteStoreLimits: Equatable, Sendable {
    /// Payloads and vectors up to this size live in SQLite, longer ones in segment files. Below
    /// it the rows are cheaper than a second file to sync; above it writing every byte twice,
    /// through the write-ahead log, is what costs.
    public var inlineBytesMax = 16 * 1024
    /// Entries that come alone with a payload up to this size are made durable in the entry log.
    public var loggedBytesMax = 16 * 1024
    /// A file of the entry log is full when it has so many bytes, or so many entries. There are two
    /// of them, and what is in them is in memory too.
    public var logFileBytesMax = 32 * 1024 * 1024
    public var logFileEntriesMax = 64 * 1024
    /// When nothing has been logged for so long, what is in the log goes to the tables.
    public var quietSeconds = 1.0
    /// Payloads and vectors from this size on get a segment of their own, written beside the
    /// committer: others' short writes don't wait for it, and its space comes back with it.
    public var stagedBytesMin = Octets.longMin
    /// Payloads from this size on do, if they are written while they arrive: that costs no time.
    public var arrivingBytesMin = 256 << 10
    /// A segment file that has grown to this takes no more: the next transaction opens another.
    /// Dead bytes are given back a whole segment at a time.
    public var segmentBytesMax = 256 * 1024 * 1024
    /// Points of a session's trace, and its steps: past that the trace is thinned out, and the
    /// oldest steps go.
    public var tracePointsMax = Limits().tracePointsMax
    /// Writes that share one transaction, and their bytes together. One longer write goes alone.
    public var groupWritesMax = 256
    public var groupBytesMax = 64 * 1024 * 1024
    /// Up to so many entries are committed by the threads that serve, while a sync takes no longer
    /// than this: they do nothing else meanwhile.
    public var attendedEntriesMax = 16
    public var attendedSyncMicrosecondsMax = 1000
    /// Writes that wait for the committer, and their bytes together; more are refused. A longer
    /// write is taken when nothing waits.
    public var waitingWritesMax = 8192
    public var waitingBytesMax = 1 << 30
    /// Read-only connections, each with its thread, and reads that wait for one of them.
    public var readersMax = 4
    public var waitingReadsMax = 8192
    /// Pages written to the write-ahead log, as estimated, before it is copied back into the
    /// database: 32 MiB, a page that is written often being copied once. Reading them back after a
    /// crash takes some tens of milliseconds.
    public var checkpointPages = 8 * 1024
    /// A log that has grown to this many pages because of readers is emptied by waiting for them.
    public var logPagesMax = 16 * 1024

    public init() {}
}
