import Dispatch
import DiskLog
import GRDB
import Glibc
import SessionModel
import Synchronization

// Theory of operation
//
//   callers (Swift tasks)
//      |  enqueue
//      v
//   CommitQueue --- entries that come alone ---> GroupCommitLeader chooses a thread:
//      |                                           event loop | log thread | writer
//      |  transactions                                            |
//      v                                                          v
//   writer (the queue of SQLite's writing connection)        WriteAheadLog.append, one sync
//      |  a group of requests: one transaction               EntryMemtable.add
//      |    savepoint, attempt, release   (each request)     answer the callers
//      |    sync the segment, update its index
//      |    COMMIT (synchronous = FULL)
//      |    answer the callers
//      |
//      +-- between groups: flush a slice of the memtable to the tables, so that the log's
//          checkpoint ends before the log is full             (Committer+LogCheckpoint.swift)
//      +-- after each commit, and after each append to the log: what was written is published to
//          the standby, if there is one                       (Committer+Replication.swift)
//      +-- when SQLite's WAL is long: copy it back; punch holes; release free pages
//                                                             (Committer+Maintenance.swift)
//
// Each request is atomic: a transaction that fails as a whole is tried again request by request,
// so that what one of them did (filled the disk, say) does not fail the others.
//
// Locks: `queue` is never held during I/O. `log` is held while a frame is written and synced;
// within it the memtable, the tail cache and the schedule are locked for moments. Nothing that
// holds `queue` or `schedule` takes `log`.

/// The one writer of a store.
///
/// It works on the queue of SQLite's writing connection, on the log's thread and on the threads of
/// event loops, never on Swift's cooperative threads, which must not block.
final class Committer: Sendable {
    let queue = Mutex(CommitQueue())
    let pool: DatabasePool
    let limits: SQLiteStoreLimits
    let directory: String
    let faults: FaultInjection
    let onFatal: @Sendable (String) -> Never

    /// Held while a frame is written and synced.
    let log: Mutex<WriteAheadLog>
    let memtable: EntryMemtable
    let tails = JournalTailCache()
    /// Changed under the log's lock.
    let recentFrames = Mutex(RecentFrames())
    let schedule: Mutex<LogCheckpointSchedule>
    /// The average duration of the last syncs of the log.
    let syncNanoseconds = Atomic<Int>(0)
    let logThread = DispatchQueue(label: "lbfgsd.store.log")

    // Used on the writer's queue only.
    let segments: Mutex<SegmentLog>
    /// Pages written to SQLite's WAL since it was last copied back, as estimated.
    let walPages = Mutex(0)
    let mayHaveFreePages = Mutex(false)

    let puncher: HolePuncher
    let ballast: Ballast
    let metrics: StoreMetrics
    /// What a standby repeats.
    let feed: ReplicationFeed
    /// Used on the writer's queue only.
    let tablesTail: Mutex<TablesTail>
    let tablesFile = TablesFile()
    let quietTimer = DispatchQueue(label: "lbfgsd.store.quiet")
    /// Whether the quiet timer is running.
    let isQuietTimerSet = Atomic(false)

    init(
        _ opened: OpenedStore, limits: SQLiteStoreLimits, metrics: StoreMetrics,
        feed: ReplicationFeed, faults: FaultInjection,
        onFatal: @escaping @Sendable (String) -> Never
    ) {
        pool = opened.pool
        segments = Mutex(opened.segments)
        log = Mutex(opened.log)
        schedule = Mutex(opened.schedule)
        memtable = opened.memtable
        puncher = opened.puncher
        ballast = Ballast(in: opened.directory, bytes: limits.ballastBytes)
        self.metrics = metrics
        directory = opened.directory.path
        tablesTail = Mutex(TablesTail(opened.directory.database + "-wal"))
        self.limits = limits
        self.feed = feed
        self.faults = faults
        self.onFatal = onFatal
        if opened.directory.role.kind == .fenced {
            queue.withLock { $0.fencedTerm = opened.directory.role.term }
        }
    }

    /// Runs `body` in a transaction and returns when it is durable.
    /// - Parameter bytes: How many bytes the request holds in memory and writes.
    /// - Parameter isAdmitted: Whether the request is taken even if too much waits.
    func write<Value: Sendable>(
        bytes: Int, undo: UndoStrategy, isRemoval: Bool, isAdmitted: Bool,
        _ body: @escaping @Sendable (inout WriteTransaction) throws -> Value
    ) async throws(StoreError) -> Value {
        let result = await withCheckedContinuation { continuation in
            enqueue(
                .transaction(
                    CallerRequest(
                        bytes: bytes, undo: undo, isRemoval: isRemoval, body: body,
                        continuation: continuation)),
                isAdmitted: isAdmitted)
        }
        return try result.get()
    }

    /// Appends the entry to the log and returns when it is durable.
    func append(_ logged: LoggedEntry) async throws(StoreError) {
        let record = try logged.record()
        let result = await withCheckedContinuation { continuation in
            enqueue(
                .log(LogRequest(logged: logged, record: record, continuation: continuation)),
                isAdmitted: true)
        }
        try result.get()
    }

    /// Takes no more requests, finishes those that wait, and empties the log and SQLite's WAL.
    func close() async {
        queue.withLock { $0.isClosed = true }
        // The log's thread finishes its group before the log is emptied.
        await withCheckedContinuation { continuation in
            logThread.async { continuation.resume() }
        }
        await withCheckedContinuation { continuation in
            onWriter { [self] database in
                drain(database)
                emptyLog(database)
                copyBackWAL(database, .truncate)
                continuation.resume()
            }
        }
    }

    /// Flushes all entries to the tables, as far as that is possible.
    func flushAll() async {
        await withCheckedContinuation { continuation in
            onWriter { [self] database in
                _ = flush(memtable.sessions, on: database)
                continuation.resume()
            }
        }
    }

    func admitWrite() throws(StoreError) {
        if let refusal = queue.withLock({ $0.refusal(ofBytes: 0, limits) }) { throw refusal }
    }

    private func enqueue(_ request: WriteRequest, isAdmitted: Bool) {
        var action = GroupCommitLeader.Action.wait
        let refusal: StoreError? = queue.withLock { queue in
            if queue.isClosed { return .closed }
            if let term = queue.fencedTerm { return .fenced(term: term) }
            if !isAdmitted, let refusal = queue.refusal(ofBytes: request.bytes, limits) {
                return refusal
            }
            switch request {
            case .log(let request):
                queue.append(request)
                action = queue.leader.entriesArrived(areSyncsQuick: areSyncsQuick)
            case .transaction(let request):
                queue.append(request)
                startDraining(&queue)
            }
            return nil
        }
        // Without the lock, which would be held while a thread is woken.
        if action == .startLogThread { startLogThread() }
        if let refusal { request.fail(refusal) }
    }

    func startDraining(_ queue: inout CommitQueue) {
        guard !queue.isDraining else { return }
        queue.isDraining = true
        onWriter { [self] in drain($0) }
    }

    func onWriter(_ body: @escaping @Sendable (Database) -> Void) {
        pool.asyncWriteWithoutTransaction { [faults] database in
            faults.exclusively { body(database) }
        }
    }

    /// Runs `body` on the writer's queue, unless the store is closed; then it returns false.
    @discardableResult
    func onOpenWriter(_ body: @escaping @Sendable (Committer, Database) -> Void) -> Bool {
        queue.withLock { queue in
            guard !queue.isClosed else { return false }
            onWriter { [self] database in body(self, database) }
            return true
        }
    }

    /// Serves the queue until nothing waits for the writer.
    func drain(_ database: Database) {
        while let group = nextGroup() {
            append(group.entries, on: database)
            if !group.transactions.isEmpty { run(group.transactions, on: database) }
            flushIfDue(database)
            if walPages.withLock({ $0 }) >= limits.walPagesBeforeCheckpoint {
                copyBackWAL(database, .passive)
                mayHaveFreePages.withLock { $0 = true }
            }
        }
        if mayHaveFreePages.withLock({ $0 }) || puncher.hasMany { releaseFreePages(database) }
        if !memtable.isEmpty { setQuietTimer() }
    }

    /// nil when nothing waits for the writer; then the next request starts it again.
    private func nextGroup() -> (entries: [LogRequest], transactions: [any TransactionRequest])? {
        queue.withLock { queue in
            var entries: [LogRequest] = []
            if queue.leader.needsWriter || queue.isClosed {
                entries = queue.takeEntries(limits)
                queue.leader.writerTook(entriesWaiting: queue.entryCount)
            }
            let transactions = queue.takeTransactionGroup(limits)
            if entries.isEmpty && transactions.isEmpty {
                queue.isDraining = false
                return nil
            }
            return (entries, transactions)
        }
    }

    /// The error to report to the caller. Ends the process if the error leaves the contents of the
    /// disk in doubt.
    /// To be called at once, on the thread of the call that failed.
    func survivable(_ error: any Error) -> StoreError {
        // That of the system call that failed within SQLite: those that succeed leave it alone, and
        // sqlite3_system_errno() has it for files that can't be opened only.
        let code = errno
        switch StoreFailure(error, directory: directory, systemCode: code) {
        case .error(let error): return error
        case .fatal(let reason): onFatal(reason)
        }
    }
}
