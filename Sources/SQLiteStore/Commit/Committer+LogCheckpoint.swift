import DiskLog
import GRDB
import SessionModel
import Synchronization

// The log's checkpoint, on the writer's queue: entries are flushed from the memtable to the tables,
// a session's all at once, so that the log can begin its next epoch. Most need no flush: a
// session's next snapshot takes its entries along.

extension Committer {
    /// Entries that one transaction flushes, about: a few milliseconds, for which others wait.
    private static let sliceEntries = 512

    /// Flushes a slice if the checkpoint would otherwise end too late.
    func flushIfDue(_ database: Database) {
        let unflushed = schedule.withLock { $0.isDue ? $0.unflushed : [] }
        guard !unflushed.isEmpty else { return }
        if flush(slice(of: unflushed), on: database) != nil { schedule.withLock { $0.pause() } }
    }

    /// Flushes the memtable slice by slice, while nobody writes.
    func flushSlices(_ database: Database) {
        let sessions = memtable.sessions
        guard !sessions.isEmpty, flush(slice(of: sessions), on: database) == nil else { return }
        onOpenWriter { committer, database in committer.flushSlices(database) }
    }

    private func slice(of sessions: some Sequence<SessionID>) -> [SessionID] {
        var slice: [SessionID] = []
        var count = 0
        for session in sessions {
            slice.append(session)
            count += memtable.count(of: session)
            if count >= Self.sliceEntries { break }
        }
        return slice
    }

    /// After the store was opened, before it is read or written: makes durable what was found in
    /// the log, which may have been in the page cache alone, and gives the log a new salt. Returns
    /// the error if that is not possible.
    func recoverLog() async -> StoreError? {
        await withCheckedContinuation { continuation in
            onWriter { [self] database in
                continuation.resume(returning: recoverLog(database))
            }
        }
    }

    private func recoverLog(_ database: Database) -> StoreError? {
        guard log.withLock({ $0.needsSalt }), let error = beginEpoch(database) else {
            if walPages.withLock({ $0 >= limits.walPagesBeforeCheckpoint }) {
                copyBackWAL(database, .truncate)
            }
            return nil
        }
        // A store on a full disk can be read.
        guard case .full = error else { return error }
        do {
            try log.withLock { try $0.rewriteRecovered() }
            return nil
        } catch {
            return survivable(error)
        }
    }

    /// Completes the checkpoint of the previous epoch and begins the next, which makes room in the
    /// log. Returns the error if that is not possible.
    func beginEpoch(_ database: Database) -> StoreError? {
        let (epoch, salt) = log.withLock { log in
            (log.epochToCheckpoint, log.needsSalt ? LogSalt.random() : nil)
        }
        let unflushed = schedule.withLock { $0.unflushed }
        if let error = complete(unflushed, through: epoch, salt: salt, on: database) {
            return error
        }
        log.withLock { log in
            let sessions = Set(memtable.sessions)
            log.beginEpoch(salt: salt)
            schedule.withLock { $0.epochBegan(at: log.position, unflushed: sessions) }
        }
        return nil
    }

    /// Flushes the sessions' entries and notes that the tables have all entries up to `epoch`. The
    /// entries of damaged sessions must not stop the others: they go to table `detached`, in the
    /// same commit, since the log may be written over after it. Returns the error if that is not
    /// possible.
    private func complete(
        _ sessions: some Collection<SessionID>, through epoch: UInt64, salt: LogSalt?,
        on database: Database
    ) -> StoreError? {
        guard let error = flush(sessions, through: epoch, salt: salt, on: database) else {
            return nil
        }
        guard error.isDamage else { return error }
        for session in sessions {
            guard let error = flush([session], on: database) else { continue }
            guard error.isDamage else { return error }
            detach(session, because: error)
        }
        return flush([], through: epoch, salt: salt, on: database)
    }

    /// Under the log's lock: no entry of the session is being appended, and none will be.
    private func detach(_ session: SessionID, because error: StoreError) {
        log.withLock { _ in
            tails[session] = nil
            memtable.detach(session, because: error)
            schedule.withLock { $0.flushed(session) }
        }
    }

    /// After the last write: an orderly end leaves an empty log.
    func emptyLog(_ database: Database) {
        let epoch = log.withLock { $0.epoch }
        guard complete(memtable.sessions, through: epoch, salt: nil, on: database) == nil else {
            return
        }
        try? log.withLock { try $0.truncate() }
    }

    /// Flushes the entries of sessions in one transaction. Returns the error if none was flushed.
    /// - Parameters:
    ///   - epoch: The tables note that they have all entries up to this epoch.
    ///   - salt: The tables note that this is the log's salt from now on.
    func flush(
        _ sessions: some Collection<SessionID>, through epoch: UInt64? = nil,
        salt: LogSalt? = nil, on database: Database
    ) -> StoreError? {
        guard !sessions.isEmpty || epoch != nil else { return nil }
        let sessions = Array(sessions)
        let rows = sessions.reduce(0) { $0 + memtable.count(of: $1) }
        let unkept = epoch == nil ? [:] : memtable.unkept
        let request = InternalRequest(bytes: rows * RowBytes.entry) { transaction in
            for session in sessions { try transaction.flush(session) }
            for (session, journal) in unkept {
                for row in try journal.rows(session) {
                    try transaction.database.run(.insertDetached, binding: row.bound)
                }
            }
            if let epoch {
                try transaction.database.updateStoreRow { row in
                    row.checkpointedEpoch = epoch
                    if let salt { row.logSalt = salt.bytes }
                }
                // A session is deleted at the second epoch after `moved` at the latest.
                try transaction.database.run(
                    .deleteTombstones, [Int64(clamping: epoch) - 2])
            }
        }
        let error = commit([request], on: database)
        if error == nil { memtable.kept(unkept) }
        return error
    }

    /// After the commit that flushed sessions' entries, or that deleted the sessions.
    func noteFlushed(_ flushedThrough: [SessionID: SequenceNumber]) {
        for (session, sequence) in flushedThrough { memtable.remove(session, through: sequence) }
        schedule.withLock { schedule in
            for session in flushedThrough.keys { schedule.flushed(session) }
        }
    }
}

extension StoreError {
    /// Whether the session's entries or rows are wrong, rather than the disk.
    fileprivate var isDamage: Bool {
        switch self {
        case .corrupt, .outOfOrder: true
        case .missing, .exists, .duplicateKey, .full, .overloaded, .inUse, .incompatible, .failed,
            .fenced, .closed:
            false
        }
    }
}
