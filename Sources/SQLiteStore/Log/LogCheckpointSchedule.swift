package import DiskLog
package import SessionModel

/// Which sessions the log's checkpoint still has to flush to the tables before the log can begin
/// its next epoch, and when. It is apart from the log, which is locked while the disk syncs, so
/// that reading it does not wait for a sync.
package struct LogCheckpointSchedule: Sendable {
    /// Sessions with entries in the file of the previous epoch that are not in the tables.
    package private(set) var unflushed: Set<SessionID>
    /// How many there were when the epoch began.
    private var unflushedAtStart = 0
    /// The fraction of the current file that has filled since.
    private var fractionFilled = 0.0
    /// Whether flushing waits until the log is full: after recovery, and after it has failed.
    private var isPaused: Bool
    /// The log's position after its newest frame.
    package private(set) var position: LogPosition

    /// - Parameter unflushed: Sessions whose entries were recovered from the log. They are flushed
    ///   before anything is appended.
    package init(unflushed: Set<SessionID>, position: LogPosition) {
        self.unflushed = unflushed
        self.position = position
        isPaused = true
    }

    /// Whether sessions should be flushed now. Flushing proceeds a quarter faster than the file
    /// fills, so that it ends in time, and no faster, because a session that gets a snapshot in the
    /// meantime need not be flushed.
    package var isDue: Bool {
        guard !unflushed.isEmpty, !isPaused else { return false }
        return Double(unflushed.count) > Double(unflushedAtStart) * (1 - 1.25 * fractionFilled)
    }

    package mutating func pause() { isPaused = true }

    package mutating func flushed(_ session: SessionID) { unflushed.remove(session) }

    package mutating func appended(to position: LogPosition, fractionFilled: Double) {
        self.position = position
        self.fractionFilled = fractionFilled
    }

    /// - Parameter unflushed: Sessions with entries in the file of the epoch that ended.
    package mutating func epochBegan(at position: LogPosition, unflushed: Set<SessionID>) {
        precondition(self.unflushed.isEmpty, "\(self.unflushed.count) sessions are not flushed")
        self.unflushed = unflushed
        unflushedAtStart = unflushed.count
        appended(to: position, fractionFilled: 0)
        isPaused = false
    }
}
