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
        guard !memtable.isEmpty, flush(slice(of: memtable.all.keys), on: database) == nil else {
            return
        }
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

    /// Completes the checkpoint of the previous epoch and begins the next, which makes room in the
    /// log. Returns the error if that is not possible.
    func beginEpoch(_ database: Database) -> StoreError? {
        let epoch = log.withLock { $0.epochToCheckpoint }
        let unflushed = schedule.withLock { $0.unflushed }
        var kept: [SessionID] = []
        if let error = flush(unflushed, through: epoch, on: database) {
            guard case .corrupt = error else { return error }
            // A damaged session must not stop the others: its entries stay in the log.
            for session in unflushed {
                guard let error = flush([session], on: database) else { continue }
                guard case .corrupt = error else { return error }
                kept.append(session)
            }
            if let error = flush([], through: epoch, on: database) { return error }
        }
        schedule.withLock { schedule in
            for session in kept { schedule.flushed(session) }
        }
        let entries = log.withLock { log in
            let entries = memtable.all
            log.beginEpoch()
            schedule.withLock {
                $0.epochBegan(at: log.position, unflushed: Set(entries.keys))
            }
            return entries
        }
        do {
            let records = try kept.flatMap { session in
                try (entries[session] ?? []).map {
                    try LoggedEntry(session: session, entry: $0).record()
                }
            }
            if !records.isEmpty { try log.withLock { try $0.append(records) } }
            return nil
        } catch {
            return survivable(error)
        }
    }

    /// After the last write: an orderly end leaves an empty log.
    func emptyLog(_ database: Database) {
        let epoch = log.withLock { $0.epoch }
        guard flush(memtable.all.keys, through: epoch, on: database) == nil else { return }
        try? log.withLock { try $0.truncate() }
    }

    /// Flushes the entries of sessions in one transaction. Returns the error if none was flushed.
    /// - Parameter epoch: The tables note that they have all entries up to this epoch.
    func flush(
        _ sessions: some Collection<SessionID>, through epoch: UInt64? = nil,
        on database: Database
    ) -> StoreError? {
        guard !sessions.isEmpty || epoch != nil else { return nil }
        let sessions = Array(sessions)
        let rows = sessions.reduce(0) { $0 + memtable.count(of: $1) }
        let request = InternalRequest(bytes: rows * RowBytes.entry) { transaction in
            for session in sessions { try transaction.flush(session) }
            if let epoch {
                try transaction.database.run(.setCheckpointedEpoch, [Int64(clamping: epoch)])
            }
        }
        return commit([request], on: database)
    }

    /// After the commit that flushed sessions' entries, or that deleted the sessions.
    func noteFlushed(_ flushedThrough: [SessionID: SequenceNumber]) {
        for (session, sequence) in flushedThrough { memtable.remove(session, through: sequence) }
        schedule.withLock { schedule in
            for session in flushedThrough.keys { schedule.flushed(session) }
        }
    }
}
