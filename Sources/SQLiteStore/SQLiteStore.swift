import Dispatch
import GRDB
public import SessionModel
import Synchronization

/// Sessions in a directory: an SQLite database, and segment files for long vectors.
///
/// Writes go through one `Committer`, which groups them; reads through a few read-only
/// connections, each for one short transaction. A write returns when it is durable: its long
/// vectors are written and synced to a segment first, then the SQLite transaction that names them
/// is committed with `synchronous = FULL`. Readers see the database as of some commit, so never a
/// vector that isn't whole.
///
/// Everything read is checked against CRC-32C checksums: rows, payloads, and vectors by the MiB.
public final class SQLiteStore: Store {
    let directory: StoreDirectory
    let pool: DatabasePool
    let limits: SQLiteStoreLimits
    let committer: Committer
    /// What has been logged and isn't in the tables.
    let pending: PendingEntries
    let stage: SegmentStage
    private let puncher: HolePuncher
    private let reads = Mutex((waiting: 0, isClosed: false))

    /// Opens the store in `directory`, creating it (mode 0700) if need be, and recovers from
    /// whatever ended the process before.
    ///
    /// Throws `.failed` when another process has it open, `.incompatible` when a newer program or
    /// another one made the database.
    ///
    /// `onFatal` is called when a sync has failed. What is on the disk is then in doubt until a
    /// new process has read it back, so it must end this one; no caller hears of a success that
    /// may not be one.
    public convenience init(
        directory: String, limits: SQLiteStoreLimits = SQLiteStoreLimits(),
        onFatal: @escaping @Sendable (String) -> Never = { fatalError("the store failed: \($0)") }
    ) async throws(StoreError) {
        try await self.init(directory: directory, limits: limits, faults: nil, onFatal: onFatal)
    }

    package init(
        directory path: String, limits: SQLiteStoreLimits, faults: WriteFaults?,
        onFatal: @escaping @Sendable (String) -> Never
    ) async throws(StoreError) {
        let faults = FaultInjection(faults: faults)
        let opened: Result<Opened, StoreError> = await withCheckedContinuation { continuation in
            DispatchQueue(label: "lbfgsd.store.open").async {
                do {
                    let opened = try Opened(path, limits: limits, faults: faults)
                    continuation.resume(returning: .success(opened))
                } catch {
                    switch StoreFailure(error, directory: path) {
                    case .error(let error): continuation.resume(returning: .failure(error))
                    case .fatal(let reason): onFatal(reason)
                    }
                }
            }
        }
        let store = try opened.get()
        directory = store.directory
        pool = store.pool
        puncher = store.puncher
        self.limits = limits
        stage = SegmentStage(
            directory: store.directory, limits: limits,
            newest: store.segments.newestStaged, faults: faults, onFatal: onFatal)
        pending = store.pending
        committer = Committer(store, limits: limits, faults: faults, onFatal: onFatal)
    }

    /// Runs `body` on one of the readers' threads.
    func read<Value: Sendable>(
        _ body: @escaping @Sendable (ReadTransaction) throws -> Value
    ) async throws(StoreError) -> Value {
        let refusal: StoreError? = reads.withLock { reads in
            if reads.isClosed { return .closed }
            guard reads.waiting < limits.waitingReadsMax else {
                return .failed("too many reads wait for the disk: try again later")
            }
            reads.waiting += 1
            return nil
        }
        if let refusal { throw refusal }
        defer { reads.withLock { $0.waiting -= 1 } }
        var result = await attemptRead(body)
        // Bytes that were collected under the reader's eyes aren't named in the next attempt. A
        // busy session may collect others by then, but not for ever.
        for _ in 0..<4 {
            guard case .failure(let error) = result, error is SegmentBytesGone else { break }
            result = await attemptRead(body)
        }
        switch result {
        case .success(let value): return value
        case .failure(let error):
            switch StoreFailure(error, directory: directory.path) {
            case .error(let error): throw error
            case .fatal(let reason): throw .failed(reason)
            }
        }
    }

    private func attemptRead<Value: Sendable>(
        _ body: @escaping @Sendable (ReadTransaction) throws -> Value
    ) async -> Result<Value, any Error> {
        let segments = directory.segments
        return await withCheckedContinuation { continuation in
            pool.asyncRead { database in
                continuation.resume(
                    returning: Result {
                        try body(
                            ReadTransaction(database: database.get(), segmentDirectory: segments))
                    })
            }
        }
    }

    func write<Value: Sendable>(
        bytes: Int = 0, looksFirst: Bool = false,
        _ body: @escaping @Sendable (inout WriteTransaction) throws -> Value
    ) async throws(StoreError) -> Value {
        try await committer.write(bytes: bytes, looksFirst: looksFirst, body)
    }

    /// The calling thread will look in with `commitWhatWaits`, soon and again and again, until it
    /// says `leave`: entries that others hand in may wait for it.
    public func attend() { committer.attend() }

    /// Makes entries that wait durable on the calling thread, if that is brief.
    public func commitWhatWaits() { committer.commitHere() }

    /// The same, and the thread looks in no more.
    public func leave() { committer.leave() }

    public func close() async {
        let wasClosed = reads.withLock { reads in
            defer { reads.isClosed = true }
            return reads.isClosed
        }
        guard !wasClosed else { return }
        await committer.close()
        await withCheckedContinuation { continuation in
            DispatchQueue(label: "lbfgsd.store.close").async { [pool, puncher] in
                puncher.finish()
                SegmentRemoval.finish()
                // Waits for the readers and closes them, so that the writer is the last
                // connection and can remove its log.
                pool.releaseMemory()
                try? pool.close()
                continuation.resume()
            }
        }
        directory.unlock()
    }
}
