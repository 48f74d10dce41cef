import SessionModel

/// What is still to be moved from the entry log to the tables, and how soon. It is apart from the
/// log itself, which is locked while the disk syncs: nobody has to wait for that to learn it.
struct LogMoves {
    /// Sessions with entries in the file before the one that fills, that aren't in the tables.
    private(set) var outstanding: Set<SessionID>
    private var outstandingMost = 0
    /// The part of the file that has filled since.
    private var filled = 0.0
    /// Not to be moved before they must be: the log was found with them, or moving has failed.
    private var isPaused: Bool
    /// Of the log's newest frame.
    private(set) var position: EntryLog.Position

    /// - Parameter outstanding: What the tables don't have of the entries found in the log: to be
    ///   moved before anything is appended.
    init(outstanding: Set<SessionID>, position: EntryLog.Position) {
        self.outstanding = outstanding
        self.position = position
        isPaused = true
    }

    /// Whether moving should go on now, so that it is done in time: a quarter faster than the file
    /// fills. Not sooner: sessions that get a snapshot meanwhile need no moving.
    var isDue: Bool {
        guard !outstanding.isEmpty, !isPaused else { return false }
        return Double(outstanding.count) > Double(outstandingMost) * (1 - 1.25 * filled)
    }

    mutating func pause() { isPaused = true }

    mutating func moved(_ session: SessionID) { outstanding.remove(session) }

    /// A frame has been appended.
    mutating func grown(to position: EntryLog.Position, filled: Double) {
        self.position = position
        self.filled = filled
    }

    /// The other file is begun anew.
    /// - Parameter outstanding: Sessions with entries in the file that is left.
    mutating func turned(to position: EntryLog.Position, outstanding: Set<SessionID>) {
        precondition(self.outstanding.isEmpty, "the other file is still needed")
        self.outstanding = outstanding
        outstandingMost = outstanding.count
        grown(to: position, filled: 0)
        isPaused = false
    }
}
