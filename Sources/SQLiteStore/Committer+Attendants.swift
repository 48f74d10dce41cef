import Dispatch
import Sessions
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
        let group: [EntryWrite] = waiting.withLock { waiting in
            if isLeaving { waiting.attendants -= 1 }
            guard waiting.entryCount > 0, !waiting.isLogging, !waiting.needsWriter else {
                return []
            }
            waiting.isLogging = true
            if areSyncsQuick, waiting.entryCount <= limits.attendedEntriesMax {
                return waiting.takeEntries(limits)
            }
            beginLogging()
            return []
        }
        guard !group.isEmpty else { return }
        log(group)
        waiting.withLock { waiting in
            if waiting.entryCount == 0 || waiting.needsWriter {
                waiting.isLogging = false
            } else {
                beginLogging()
            }
        }
    }

    /// Entries have come. Begins with them, unless somebody will.
    func entriesCame(_ waiting: inout WaitingWrites) {
        if waiting.isLogging || waiting.needsWriter { return }
        if waiting.attendants > 0, areSyncsQuick { return }
        waiting.isLogging = true
        beginLogging()
    }

    private func beginLogging() {
        logging.async { [self] in
            while let group = nextEntries() { log(group) }
        }
    }

    /// nil when no more wait, or when they are the writer's; then logging has ended.
    private func nextEntries() -> [EntryWrite]? {
        waiting.withLock { waiting in
            if waiting.entryCount == 0 || waiting.needsWriter {
                waiting.isLogging = false
                return nil
            }
            return waiting.takeEntries(limits)
        }
    }

    private func log(_ group: [EntryWrite]) {
        let isDone = faults.alone { append(group) }
        if !isDone || isMoveDue {
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
