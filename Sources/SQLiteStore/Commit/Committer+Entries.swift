import GRDB
import SessionModel
import Synchronization

// Entries that come alone: into the log at once, for all that wait with one sync; from there into
// the tables later, on the writer's queue. The log may be appended to while a transaction runs.

extension Committer {
    /// Entries that a transaction takes from the log to the tables, about: a few milliseconds, for
    /// which others wait.
    private static let sliceEntries = 512

    /// On the writer's queue: makes room in the log if there is none, and learns where journals
    /// end.
    func append(_ writes: [EntryWrite], on database: Database) {
        guard !writes.isEmpty else { return }
        if entryLog.withLock({ $0.isFull }), let error = turn(on: database) {
            for write in writes { write.end(.failure(error)) }
            return
        }
        let reading = ReadTransaction(database: database, segmentDirectory: "")
        var known: [EntryWrite] = []
        for write in writes {
            do {
                _ = try journals.end(of: write.logged.session, in: reading, pending)
                known.append(write)
            } catch {
                write.end(.failure(survivable(error)))
            }
        }
        if append(known) { return }
        // An append elsewhere failed meanwhile, and what was learnt is forgotten.
        for write in known { write.end(.failure(.failed("the entry log failed: try again"))) }
    }

    /// Makes the entries durable, and answers those who wait for them. Returns false, and does
    /// nothing, when the log has no room or a journal's end is not known. From any thread.
    func append(_ writes: [EntryWrite]) -> Bool {
        if writes.isEmpty { return true }
        let errors: [Int: StoreError]? = entryLog.withLock { log in
            guard !log.isFull, var errors = journals.advance(writes.lazy.map(\.logged)) else {
                return nil
            }
            let accepted = errors.isEmpty ? writes : writes.omitting(errors)
            guard !accepted.isEmpty else { return errors }
            do {
                let began = ContinuousClock.now
                try log.append(accepted.lazy.map(\.record))
                noteSync(ContinuousClock.now - began)
                // Before anybody can turn the log, who looks here for what is in it.
                pending.add(accepted.lazy.map(\.logged))
                moves.withLock { $0.grown(to: log.position, filled: log.filled) }
                try? faults.pass(.answer, directory)
            } catch {
                journals.forgetAll()
                let error = survivable(error)
                for place in writes.indices where errors[place] == nil { errors[place] = error }
            }
            return errors
        }
        guard let errors else { return false }
        for (place, write) in writes.enumerated() {
            write.end(errors[place].map { .failure($0) } ?? .success(()))
        }
        return true
    }

    /// The average of the last eight or so.
    private func noteSync(_ duration: Duration) {
        let nanoseconds = Int(duration / .nanoseconds(1))
        let average = syncNanoseconds.load(ordering: .relaxed)
        syncNanoseconds.store(average + (nanoseconds - average) / 8, ordering: .relaxed)
    }

    /// A slice of what must have left the log by the time that it is full.
    func moveEntries(on database: Database) {
        let outstanding = moves.withLock { $0.isDue ? $0.outstanding : [] }
        guard !outstanding.isEmpty else { return }
        if move(slice(of: outstanding), on: database) != nil { moves.withLock { $0.pause() } }
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
        let outstanding = moves.withLock { $0.outstanding }
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
        moves.withLock { moves in
            for session in kept { moves.moved(session) }
        }
        let entries = entryLog.withLock { log in
            let entries = pending.all
            log.turn()
            moves.withLock {
                $0.turned(to: log.position, outstanding: Set(entries.keys))
            }
            return entries
        }
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
    func noteSettled(_ sessions: [SessionID: SequenceNumber]) {
        for (session, sequence) in sessions { pending.remove(session, through: sequence) }
        moves.withLock { moves in
            for session in sessions.keys { moves.moved(session) }
        }
    }
}

extension [EntryWrite] {
    fileprivate func omitting(_ errors: [Int: StoreError]) -> [EntryWrite] {
        indices.filter { errors[$0] == nil }.map { self[$0] }
    }
}
