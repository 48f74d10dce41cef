import DiskLog
import GRDB
import SessionModel
import Synchronization
import Telemetry

// Transactions: one for each group of requests.

extension Committer {
    /// Commits the group and answers its callers.
    func run(_ group: [any TransactionRequest], on database: Database) {
        let began = ContinuousClock.now
        metrics.began(began, after: group.lazy.map(\.arrivedAt))
        guard let error = commit(group, on: database) else {
            metrics.commitSeconds.observe(ContinuousClock.now - began)
            return
        }
        if group.count == 1 {
            if case .full = error, group[0].isRemoval, remove(group, on: database) { return }
            group[0].fail(error)
        } else {
            for request in group { run([request], on: database) }
        }
    }

    /// Commits a removal that found no space. SQLite's WAL is copied back first, which frees its
    /// pages, and if the database has no space to grow for that, the ballast is given up.
    private func remove(_ group: [any TransactionRequest], on database: Database) -> Bool {
        copyBackWAL(database, .truncate)
        if commit(group, on: database) == nil { return true }
        guard ballast.release() else { return false }
        copyBackWAL(database, .truncate)
        return commit(group, on: database) == nil
    }

    /// Commits the group and answers its callers. Returns the error if nothing was committed, in
    /// which case nobody has been answered.
    func commit(_ group: [any TransactionRequest], on database: Database) -> StoreError? {
        var transaction = WriteTransaction(
            database: database, segments: segments.withLock { $0 }, tails: tails,
            memtable: memtable, inlineBytesMax: limits.inlineBytesMax,
            tracePointsMax: limits.tracePointsMax, keptPerSession: limits.keptPerSession)
        var accepted: [any TransactionRequest] = []
        var refused: [(request: any TransactionRequest, error: StoreError)] = []
        do {
            try database.beginTransaction(.immediate)
            for request in group {
                let error =
                    group.count == 1
                    ? try attemptAlone(request, in: &transaction)
                    : try attempt(request, in: &transaction)
                if let error {
                    refused.append((request, error))
                } else {
                    accepted.append(request)
                }
            }
            if accepted.isEmpty {
                try database.rollback()
            } else {
                try commit(&transaction, of: accepted)
            }
        } catch {
            let error = survivable(error)
            tails.invalidateAll()
            rollBack(database)
            transaction.segments.discard(after: segments.withLock { $0 })
            if case .full = error, walPages.withLock({ $0 > limits.walPagesBeforeCheckpoint / 8 }) {
                // Pages that have been copied back can be overwritten.
                copyBackWAL(database, .passive)
            }
            return error
        }
        for request in accepted { request.succeed() }
        for (request, error) in refused { request.fail(error) }
        return nil
    }

    /// Makes the transaction durable: its segment first, then the rows that name the bytes.
    private func commit(
        _ transaction: inout WriteTransaction, of requests: [any TransactionRequest]
    ) throws {
        let database = transaction.database
        try transaction.segments.sync()
        try SegmentIndex.close(puncher.takeFinished(), in: database)
        let cleanup = try SegmentIndex.apply(transaction.segments.changes, in: database)
        try faults.pass(.commit, directory)
        try database.commit()
        metrics.committed(requests.count)
        publishTables(transaction.segments.changes, cleanup)
        transaction.segments.committed()
        segments.withLock { $0 = transaction.segments }
        cleanUp(cleanup, in: transaction.segments.directory)
        if transaction.freesPages { mayHaveFreePages.withLock { $0 = true } }
        noteFlushed(transaction.flushedThrough)
        walPages.withLock { $0 += Self.estimatedPages(of: requests) }
        try? faults.pass(.answer, directory)
    }

    /// A group touches the ends of a few tables, and each request its place in an index; its bytes
    /// come on top, as its snapshot's rows do.
    private static func estimatedPages(of requests: [any TransactionRequest]) -> Int {
        requests.reduce(16) { pages, request in
            pages + (request.undo == .validatesBeforeWriting ? 1 : 5)
                + (request.bytes + 4095) / 4096
        }
    }

    /// A request that is the whole transaction: any error rolls it back.
    private func attemptAlone(
        _ request: any TransactionRequest, in transaction: inout WriteTransaction
    ) throws -> StoreError? {
        try request.attempt(in: &transaction)
        return nil
    }

    /// Returns the error of a request that was undone alone; throws when the transaction is lost.
    private func attempt(
        _ request: any TransactionRequest, in transaction: inout WriteTransaction
    ) throws -> StoreError? {
        switch request.undo {
        case .savepoint: try attemptWithSavepoint(request, in: &transaction)
        case .validatesBeforeWriting: try attemptWithoutSavepoint(request, in: &transaction)
        }
    }

    private func attemptWithoutSavepoint(
        _ request: any TransactionRequest, in transaction: inout WriteTransaction
    ) throws -> StoreError? {
        let changes = transaction.database.totalChangesCount
        do {
            try request.attempt(in: &transaction)
            return nil
        } catch let error as StoreError {
            // The request was to throw before its first change.
            guard transaction.database.totalChangesCount == changes else { throw error }
            return error
        }
    }

    private func attemptWithSavepoint(
        _ request: any TransactionRequest, in transaction: inout WriteTransaction
    ) throws -> StoreError? {
        let segments = transaction.segments
        let flushedThrough = transaction.flushedThrough
        try transaction.database.run(.savepoint, [])
        do {
            try request.attempt(in: &transaction)
        } catch {
            let error = survivable(error)
            tails.invalidateAll()
            // After a full disk or an I/O error SQLite may have rolled back everything.
            guard transaction.database.isInsideTransaction else { throw error }
            try transaction.database.run(.rollBackToSavepoint, [])
            try transaction.database.run(.releaseSavepoint, [])
            transaction.segments.discard(after: segments)
            transaction.segments = segments
            transaction.flushedThrough = flushedThrough
            return error
        }
        try transaction.database.run(.releaseSavepoint, [])
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
}
