import Dispatch
import GRDB
import Glibc
import SessionModel
import Synchronization

/// The one writer. Writes wait in a queue; whatever waits when the committer looks is one group:
/// one transaction, one sync, a savepoint for each write, so that one that fails is undone alone. A
/// write that looks before it changes anything, as an evaluation's does, needs no savepoint.
///
/// Entries that come alone don't wait for a transaction: see Committer+Attendants.swift for who
/// commits them, and Committer+Entries.swift for how.
///
/// It works on the queue of SQLite's writing connection, never on Swift's cooperative threads,
/// which must not block.
final class Committer: Sendable {
    let waiting = Mutex(WaitingWrites())
    private let pool: DatabasePool
    let limits: SQLiteStoreLimits
    let directory: String
    let faults: FaultInjection
    private let onFatal: @Sendable (String) -> Never
    /// What entries have been logged and are not in the tables.
    let pending: PendingEntries
    /// Whether somebody will look whether it has become quiet.
    private let isWatched = Atomic(false)
    /// How long a sync of the entry log takes, as far as the last few tell.
    let syncNanoseconds = Atomic<Int>(0)
    // Used on the writer's queue only.
    private let segments: Mutex<SegmentLog>
    /// Held while it is written and synced.
    let entryLog: Mutex<EntryLog>
    let moves: Mutex<LogMoves>
    let journals = JournalEnds()
    private let puncher: HolePuncher
    /// Pages written to the log since it was last copied back, as estimated.
    private let logPages = Mutex(0)
    private let mayHaveFreePages = Mutex(false)
    private let quiet = DispatchQueue(label: "lbfgsd.store.quiet")
    /// Where entries are written that no attendant commits.
    let logging = DispatchQueue(label: "lbfgsd.store.log")

    init(
        _ opened: Opened, limits: SQLiteStoreLimits, faults: FaultInjection,
        onFatal: @escaping @Sendable (String) -> Never
    ) {
        pool = opened.pool
        segments = Mutex(opened.segments)
        entryLog = Mutex(opened.entryLog)
        moves = Mutex(opened.moves)
        pending = opened.pending
        puncher = opened.puncher
        directory = opened.directory.path
        self.limits = limits
        self.faults = faults
        self.onFatal = onFatal
    }

    /// Runs `body` in a transaction, and returns when it is durable. `bytes` is what the write
    /// holds in memory and brings to the disk.
    func write<Value: Sendable>(
        bytes: Int, looksFirst: Bool,
        _ body: @escaping @Sendable (inout WriteTransaction) throws -> Value
    ) async throws(StoreError) -> Value {
        let result = await withCheckedContinuation { continuation in
            enqueue(
                .transacted(
                    Write(
                        bytes: bytes, looksFirst: looksFirst, body: body,
                        continuation: continuation)))
        }
        return try result.get()
    }

    /// Makes the entry durable in the entry log.
    func append(_ logged: LoggedEntry) async throws(StoreError) {
        let record = try logged.record()
        let result = await withCheckedContinuation { continuation in
            enqueue(
                .logged(EntryWrite(logged: logged, record: record, continuation: continuation)))
        }
        try result.get()
    }

    /// Takes no more writes, finishes those that wait, and copies the log back.
    func close() async {
        waiting.withLock { $0.isClosed = true }
        // Entries under way are logged before the log is emptied.
        await withCheckedContinuation { continuation in logging.async { continuation.resume() } }
        await withCheckedContinuation { continuation in
            onWriter { [self] database in
                drain(database)
                closeEntryLog(on: database)
                checkpoint(database, .truncate)
                continuation.resume()
            }
        }
    }

    /// Brings all entries to the tables, as far as that can be done.
    func settle() async {
        await withCheckedContinuation { continuation in
            onWriter { [self] database in
                settleAll(on: database)
                continuation.resume()
            }
        }
    }

    private func enqueue(_ write: QueuedWrite) {
        var beginsLogging = false
        let refusal: StoreError? = waiting.withLock { waiting in
            if let refusal = waiting.refusal(of: write, limits) { return refusal }
            switch write {
            case .logged(let write):
                waiting.append(write)
                beginsLogging = entriesCame(&waiting)
            case .transacted(let write):
                waiting.append(write)
                if !waiting.isDraining { beginDraining(&waiting) }
            }
            return nil
        }
        if beginsLogging { beginLogging() }
        if let refusal { write.fail(refusal) }
    }

    func beginDraining(_ waiting: inout WaitingWrites) {
        waiting.isDraining = true
        onWriter { [self] in drain($0) }
    }

    private func onWriter(_ body: @escaping @Sendable (Database) -> Void) {
        pool.asyncWriteWithoutTransaction { [faults] database in faults.alone { body(database) } }
    }

    private func drain(_ database: Database) {
        while let group = nextGroup() {
            append(group.logged, on: database)
            if !group.transacted.isEmpty { run(group.transacted, on: database) }
            moveEntries(on: database)
            if logPages.withLock({ $0 }) >= limits.checkpointPages {
                checkpoint(database, .passive)
                mayHaveFreePages.withLock { $0 = true }
            }
        }
        if mayHaveFreePages.withLock({ $0 }) || puncher.isCrowded { releaseFreePages(database) }
        if !pending.isEmpty { watch() }
    }

    /// When nothing has been written for a while what is logged goes to the tables, in slices, so
    /// that a copy of the database has it and memory hasn't.
    func watch() {
        guard !isWatched.exchange(true, ordering: .acquiringAndReleasing) else { return }
        let written = moves.withLock { $0.position }
        quiet.asyncAfter(deadline: .now() + limits.quietSeconds) { [self] in
            onQueue { committer, database in
                committer.isWatched.store(false, ordering: .releasing)
                guard committer.moves.withLock({ $0.position }) == written else {
                    return committer.watch()
                }
                committer.settleSlices(on: database)
            }
        }
    }

    /// Runs `body` on the writer's queue, unless the store is closed.
    func onQueue(_ body: @escaping @Sendable (Committer, Database) -> Void) {
        waiting.withLock { waiting in
            guard !waiting.isClosed else { return }
            onWriter { [self] database in body(self, database) }
        }
    }

    /// A slice, when nothing waits; then those go first who have come in the meantime.
    private func releaseFreePages(_ database: Database) {
        mayHaveFreePages.withLock { $0 = false }
        if waiting.withLock({ $0.isClosed }) { return }
        do {
            guard try FreePages.release(in: database) else {
                if puncher.isWaiting { checkpoint(database, .passive) }
                return
            }
            logPages.withLock { $0 += 2 * FreePages.sliceMax }
            onWriter { [self] database in
                mayHaveFreePages.withLock { $0 = true }
                drain(database)
            }
        } catch {
            _ = survivable(error)
        }
    }

    /// nil when nothing waits for the writer; then the next write starts it again.
    private func nextGroup() -> (logged: [EntryWrite], transacted: [any WaitingWrite])? {
        waiting.withLock { waiting in
            let logged =
                waiting.needsWriter || waiting.isClosed ? waiting.takeEntries(limits) : []
            let transacted = waiting.takeTransacted(limits)
            if logged.isEmpty && transacted.isEmpty {
                waiting.isDraining = false
                return nil
            }
            return (logged, transacted)
        }
    }

    /// A transaction that fails as a whole is tried again write by write: what one of them did
    /// (filled the disk, say) must not fail the others.
    private func run(_ group: [any WaitingWrite], on database: Database) {
        guard let error = commit(group, on: database) else { return }
        if group.count == 1 {
            group[0].fail(error)
        } else {
            for write in group { run([write], on: database) }
        }
    }

    /// Commits the group and answers it. Returns the error if none of it was committed, in which
    /// case nobody has been answered.
    func commit(_ group: [any WaitingWrite], on database: Database) -> StoreError? {
        var transaction = WriteTransaction(
            database: database, segments: segments.withLock { $0 }, journals: journals,
            inlineBytesMax: limits.inlineBytesMax, tracePointsMax: limits.tracePointsMax,
            pending: pending)
        var accepted: [any WaitingWrite] = []
        var refused: [(write: any WaitingWrite, error: StoreError)] = []
        do {
            try database.beginTransaction(.immediate)
            for write in group {
                if let error = try attempt(write, in: &transaction, isAlone: group.count == 1) {
                    refused.append((write, error))
                } else {
                    accepted.append(write)
                }
            }
            if accepted.isEmpty {
                try database.rollback()
            } else {
                try transaction.segments.prepareCommit(in: database)
                try faults.pass(.commit, directory)
                try database.commit()
                transaction.segments.committed()
                segments.withLock { $0 = transaction.segments }
                if transaction.freesPages { mayHaveFreePages.withLock { $0 = true } }
                noteSettled(transaction.settled)
                // A group touches the ends of a few tables, and each write its place in an
                // index; its bytes come on top, as its snapshot's rows do.
                logPages.withLock { pages in
                    pages += 16
                    for write in accepted {
                        pages += (write.looksFirst ? 1 : 5) + (write.bytes + 4095) / 4096
                    }
                }
                try? faults.pass(.answer, directory)
            }
        } catch {
            let error = survivable(error)
            journals.forgetAll()
            rollBack(database)
            transaction.segments.discard(after: segments.withLock { $0 })
            if case .full = error, logPages.withLock({ $0 > limits.checkpointPages / 8 }) {
                // What has been copied back can be written over.
                checkpoint(database, .passive)
            }
            return error
        }
        for write in accepted { write.succeed() }
        for (write, error) in refused { write.fail(error) }
        return nil
    }

    /// Returns the error of a write that was undone alone; throws when the transaction is lost.
    private func attempt(
        _ write: any WaitingWrite, in transaction: inout WriteTransaction, isAlone: Bool
    ) throws -> StoreError? {
        if isAlone {
            try write.attempt(in: &transaction)
            return nil
        }
        if write.looksFirst {
            do {
                try write.attempt(in: &transaction)
                return nil
            } catch let error as StoreError {
                return error
            }
        }
        let segments = transaction.segments
        let settled = transaction.settled
        try transaction.database.run(.savepoint, [])
        do {
            try write.attempt(in: &transaction)
        } catch {
            let error = survivable(error)
            journals.forgetAll()
            // After a full disk or an I/O error SQLite may have rolled back everything.
            guard transaction.database.isInsideTransaction else { throw error }
            try transaction.database.run(.rollBack, [])
            try transaction.database.run(.release, [])
            transaction.segments.discard(after: segments)
            transaction.segments = segments
            transaction.settled = settled
            return error
        }
        try transaction.database.run(.release, [])
        return nil
    }

    private func rollBack(_ database: Database) {
        guard database.isInsideTransaction else { return }
        do {
            try database.rollback()
        } catch {
            onFatal("a transaction could not be rolled back: \(error)")
        }
    }

    /// Ends the process if the error leaves it in doubt what is on the disk.
    func survivable(_ error: any Error) -> StoreError {
        switch StoreFailure(error, directory: directory) {
        case .error(let error): return error
        case .fatal(let reason): onFatal(reason)
        }
    }

    /// Copies the log back into the database. Done here and by nobody else: SQLite's own would
    /// hide a failed sync, and with 3.40's bug two at once could corrupt the database. Another
    /// failure (no space) leaves the log as it is, to be tried again.
    private func checkpoint(_ database: Database, _ kind: Database.CheckpointMode) {
        logPages.withLock { $0 = 0 }
        do {
            var result = try database.checkpoint(kind)
            if kind == .passive, result.walFrameCount >= limits.logPagesMax {
                result = try database.checkpoint(.truncate)
            }
            if result.checkpointedFrameCount == result.walFrameCount { puncher.punch() }
        } catch {
            _ = survivable(error)
        }
    }
}
