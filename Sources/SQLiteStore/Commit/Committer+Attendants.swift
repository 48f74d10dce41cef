import Dispatch
import SessionModel
import Synchronization

// Who commits entries. Handing one to another thread and being woken by it costs a lone client as
// much as the disk does. So a thread that has taken in whatever requests were there commits their
// entries itself, before it looks for more, if these are few and the disk is quick: it serves
// nobody meanwhile. When there are more, requests that come next are better read while these are
// written, by a thread of the log's own: all that wait in one frame with one sync.
//
// Entries that need something of the database are the writer's.

extension Committer {
    /// A thread will call `commitHere` again and again, until it calls `leave`.
    func attend() {
        waiting.withLock { $0.attendants += 1 }
    }

    /// It won't any more: what waits is committed.
    func leave() {
        commitHere(isLeaving: true)
    }

    /// Commits what waits, if that is few and nobody else is at it; hands more to the log's thread.
    func commitHere(isLeaving: Bool = false) {
        var beginsLogging = false
        let group: [EntryWrite] = waiting.withLock { waiting in
            if isLeaving { waiting.attendants -= 1 }
            guard waiting.entryCount > 0, !waiting.isLogging, !waiting.needsWriter else {
                return []
            }
            waiting.isLogging = true
            if areSyncsQuick, waiting.entryCount <= limits.attendedEntriesMax {
                return waiting.takeEntries(limits)
            }
            beginsLogging = true
            return []
        }
        if !group.isEmpty {
            log(group)
            waiting.withLock { waiting in
                beginsLogging = waiting.entryCount > 0 && !waiting.needsWriter
                waiting.isLogging = beginsLogging
            }
        }
        if beginsLogging { beginLogging() }
    }

    /// Entries have come. Whether `beginLogging` is to be called: nobody else will see to them.
    func entriesCame(_ waiting: inout WaitingWrites) -> Bool {
        if waiting.isLogging || waiting.needsWriter { return false }
        if waiting.attendants > 0, areSyncsQuick { return false }
        waiting.isLogging = true
        return true
    }

    /// Without the lock of what waits, which would be held while a thread is woken.
    func beginLogging() {
        logging.async { [self] in
            while let group = nextEntries() { log(group) }
        }
    }

    /// nil when no more wait, or when they are the writer's, as the last ones are before the store
    /// closes; then logging has ended.
    private func nextEntries() -> [EntryWrite]? {
        waiting.withLock { waiting in
            if waiting.entryCount == 0 || waiting.needsWriter || waiting.isClosed {
                waiting.isLogging = false
                return nil
            }
            return waiting.takeEntries(limits)
        }
    }

    private func log(_ group: [EntryWrite]) {
        let isDone = faults.alone { append(group) }
        if !isDone || moves.withLock({ $0.isDue }) {
            waiting.withLock { waiting in
                if !isDone { waiting.putBack(group) }
                if !waiting.isDraining { beginDraining(&waiting) }
            }
        }
        watch()
    }

    private var areSyncsQuick: Bool {
        syncNanoseconds.load(ordering: .relaxed) <= limits.attendedSyncMicrosecondsMax * 1000
    }
}
