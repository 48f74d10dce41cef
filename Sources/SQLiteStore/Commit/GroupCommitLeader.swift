/// Decides which thread appends waiting entries to the log, for all that wait, with one sync: the
/// leader of the group commit (as in LevelDB and MySQL).
///
/// Handing an entry to another thread and being woken by it costs a lone client as much as the disk
/// does. So an event-loop thread that has drained its ready requests leads: it appends their
/// entries itself, if they are few and syncs are quick, because it serves no other request
/// meanwhile. Otherwise the log's own thread leads, and the event loops read further requests while
/// it writes. Entries that need the database (the log is full, or a journal's tail is not cached)
/// go to the writer.
///
/// A state machine without locks or I/O: methods are events, and return what the caller must do.
package struct GroupCommitLeader: Equatable, Sendable {
    package enum Action: Equatable, Sendable {
        /// Nothing: another thread will append the entries.
        case wait
        /// Append the entries on this thread, then call `eventLoopAppended`.
        case lead
        /// Start the log's thread.
        case startLogThread
    }

    /// Event-loop threads that are awake: each will call `eventLoopDrained` before it blocks.
    package private(set) var eventLoopsAwake = 0
    /// Whether a thread appends entries, or has been asked to.
    package private(set) var hasLeader = false
    /// Whether the entries need the writer.
    package private(set) var needsWriter = false

    package init() {}

    package mutating func eventLoopWoke() { eventLoopsAwake += 1 }

    package mutating func eventLoopWillBlock() { eventLoopsAwake -= 1 }

    /// Entries have been enqueued.
    package mutating func entriesArrived(areSyncsQuick: Bool) -> Action {
        if hasLeader || needsWriter { return .wait }
        if eventLoopsAwake > 0, areSyncsQuick { return .wait }
        hasLeader = true
        return .startLogThread
    }

    /// An event loop has handled the requests that were ready.
    /// - Parameter mayLead: Whether syncs are quick and the entries are few.
    package mutating func eventLoopDrained(entriesWaiting: Int, mayLead: Bool) -> Action {
        guard entriesWaiting > 0, !hasLeader, !needsWriter else { return .wait }
        hasLeader = true
        return mayLead ? .lead : .startLogThread
    }

    /// The event loop that led has appended its group.
    package mutating func eventLoopAppended(entriesWaiting: Int) -> Action {
        hasLeader = entriesWaiting > 0 && !needsWriter
        return hasLeader ? .startLogThread : .wait
    }

    /// Whether the log's thread appends another group. If not, it no longer leads.
    package mutating func logThreadContinues(entriesWaiting: Int, isClosed: Bool) -> Bool {
        hasLeader = entriesWaiting > 0 && !needsWriter && !isClosed
        return hasLeader
    }

    /// Entries could not be appended without the database.
    package mutating func writerNeeded() { needsWriter = true }

    /// The writer has taken a group of entries. Those that are left are the writer's too, since no
    /// other thread would append them.
    package mutating func writerTook(entriesWaiting: Int) {
        needsWriter = needsWriter && entriesWaiting > 0
    }
}
