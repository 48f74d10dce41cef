import GRDB
import Sessions
import Synchronization

// Entries that come alone: into the log at once, for all that wait with one sync; from there into
// the tables later. All of it on the writer's queue.

extension Committer {
    /// Entries that a transaction takes from the log to the tables, about: a few milliseconds, for
    /// which others wait.
    private static let sliceEntries = 512

    /// Appends the entries, and answers those who wait for them.
    func append(_ writes: [EntryWrite], on database: Database) {
        guard !writes.isEmpty else { return }
        if entryLog.withLock({ $0.isFull }), let error = turn(on: database) {
            for write in writes { write.end(.failure(error)) }
            return
        }
        let reading = ReadTransaction(database: database, segmentDirectory: "")
        var accepted: [EntryWrite] = []
        var refused: [(write: EntryWrite, error: StoreError)] = []
        for write in writes {
            do {
                try journals.withLock { try $0.advance(write.logged, in: reading, pending) }
                accepted.append(write)
            } catch {
                refused.append((write, survivable(error)))
            }
        }
        if !accepted.isEmpty {
            let result: Result<Void, StoreError>
            do {
                try entryLog.withLock { try $0.append(accepted.lazy.map(\.record)) }
                pending.add(accepted.lazy.map(\.logged))
                try? faults.pass(.answer, directory)
                result = .success(())
            } catch {
                journals.withLock { $0.forgetAll() }
                result = .failure(survivable(error))
            }
            for write in accepted { write.end(result) }
        }
        for (write, error) in refused { write.end(.failure(error)) }
    }

    /// A slice of what must have left the log by the time that it is full.
    func moveEntries(on database: Database) {
        guard entryLog.withLock({ $0.isMoveDue }) else { return }
        let outstanding = entryLog.withLock { $0.outstanding }
        if move(slice(of: outstanding), on: database) != nil {
            entryLog.withLock { $0.pauseMoving() }
        }
    }

    /// All that is pending, while nobody writes.
    func settleSlices(on database: Database) {
        guard !pending.isEmpty, move(slice(of: pending.all.keys), on: database) == nil else {
            return
        }
        onQueue { committer, database in committer.settleSlices(on: database) }
    }

    private func slice(of sessions: some Sequence<SessionID>) -> [SessionID] {
        var slice: [SessionID] = []
        var count = 0
        for session in sessions {
            slice.append(session)
            count += pending.count(of: session)
            if count >= Self.sliceEntries { break }
        }
        return slice
    }

    /// Makes room in the log. Returns why there is none.
    private func turn(on database: Database) -> StoreError? {
        let movable = entryLog.withLock { $0.movable }
        let outstanding = entryLog.withLock { $0.outstanding }
        var kept: [SessionID] = []
        if let error = move(outstanding, through: movable, on: database) {
            guard case .corrupt = error else { return error }
            // Not for the others to suffer from: what can't be moved stays in the log.
            for session in outstanding {
                guard let error = move([session], on: database) else { continue }
                guard case .corrupt = error else { return error }
                kept.append(session)
            }
            if let error = move([], through: movable, on: database) { return error }
        }
        for session in kept { entryLog.withLock { $0.moved(session) } }
        let entries = pending.all
        entryLog.withLock { $0.turn(outstanding: Set(entries.keys)) }
        do {
            let records = try kept.flatMap { session in
                try (entries[session] ?? []).map {
                    try LoggedEntry(session: session, entry: $0).record()
                }
            }
            if !records.isEmpty { try entryLog.withLock { try $0.append(records) } }
            return nil
        } catch {
            return survivable(error)
        }
    }

    /// Brings all entries to the tables, as far as that can be done.
    func settleAll(on database: Database) {
        _ = move(pending.all.keys, on: database)
    }

    /// After the last write: an end in order leaves an empty log.
    func closeEntryLog(on database: Database) {
        let generation = entryLog.withLock { $0.generation }
        guard move(pending.all.keys, through: generation, on: database) == nil else { return }
        try? entryLog.withLock { try $0.clear() }
    }

    /// Moves the entries of sessions in one transaction, which notes that the tables have all up to
    /// a generation. Returns why none was moved.
    private func move(
        _ sessions: some Collection<SessionID>, through generation: UInt64? = nil,
        on database: Database
    ) -> StoreError? {
        guard !sessions.isEmpty || generation != nil else { return nil }
        let sessions = Array(sessions)
        let rows = sessions.reduce(0) { $0 + pending.count(of: $1) }
        let write = OwnWrite(bytes: rows * RowBytes.entry) { transaction in
            for session in sessions {
                try transaction.settle(
                    session,
                    in: transaction.journals.end(
                        of: session, in: transaction.reading, transaction.pending
                    ).rowID)
            }
            if let generation {
                try transaction.database.run(.setMoved, [Int64(clamping: generation)])
            }
        }
        return commit([write], on: database)
    }

    /// After the commit that brought their entries to the tables, or that deleted them.
    func noteSettled(_ sessions: Set<SessionID>) {
        for session in sessions {
            pending.remove(session)
            entryLog.withLock { $0.moved(session) }
        }
    }
}

extension JournalEnds {
    /// Throws `.outOfOrder` if the entry doesn't come next, `.missing`.
    mutating func advance(
        _ logged: LoggedEntry, in reading: ReadTransaction, _ pending: PendingEntries
    ) throws {
        let end = try end(of: logged.session, in: reading, pending)
        guard logged.entry.sequence == end.newest + 1 else {
            throw StoreError.outOfOrder(expected: end.newest + 1, got: logged.entry.sequence)
        }
        self[logged.session] = End(rowID: end.rowID, newest: logged.entry.sequence)
    }
}
