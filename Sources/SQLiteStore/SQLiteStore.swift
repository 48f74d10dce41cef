import Dispatch
package import DiskLog
import GRDB
public import SessionModel
import Synchronization
public import Telemetry

/// Stores sessions in a directory: an SQLite database, a write-ahead log of journal entries, and
/// segment files for long vectors.
///
/// Writes go through one `Committer`, which groups them; reads go through a few read-only
/// connections, each for one short transaction. A write returns when it is durable. An entry that
/// comes alone is appended to the write-ahead log. Of other writes the long vectors are written and
/// synced to a segment first, then the SQLite transaction that names them is committed with
/// `synchronous = FULL`. Readers see the database as of some commit, so they never find a vector
/// that isn't whole; entries that are only in the log come from the memtable.
///
/// Everything that is read is verified by CRC-32C checksums: rows, payloads, and each MiB of a
/// vector.
public final class SQLiteStore: Store {
    /// What recovery met that did not keep the store from opening, for the operator.
    public let findings: [String]
    let directory: StoreDirectory
    let pool: DatabasePool
    let limits: SQLiteStoreLimits
    let committer: Committer
    let memtable: EntryMemtable
    let stager: SegmentStager
    let feed: ReplicationFeed
    private let puncher: HolePuncher
    private let segments: SegmentDirectory
    private let reads = Mutex((waiting: 0, isClosed: false))
    private static let readRetriesMax = 4

    /// Opens the store in `directory`, creating it (mode 0700) if need be, and recovers it if the
    /// last process did not close it.
    ///
    /// Throws `.inUse` when another process has it open, `.incompatible` when a newer program or
    /// another one made the database.
    ///
    /// `onFatal` is called when a sync has failed. The contents of the disk are then in doubt until
    /// a new process has read them back, so it must end this one; no caller is told of a success
    /// that may not be one.
    public convenience init(
        directory: String, limits: SQLiteStoreLimits = SQLiteStoreLimits(),
        replication: ReplicationConfiguration = ReplicationConfiguration(),
        metrics: MetricsRegistry = MetricsRegistry(),
        onFatal: @escaping @Sendable (String) -> Never = { fatalError("the store failed: \($0)") }
    ) async throws(StoreError) {
        try await self.init(
            directory: directory, limits: limits, replication: replication, faults: nil,
            metrics: metrics, onFatal: onFatal)
    }

    package init(
        directory path: String, limits: SQLiteStoreLimits,
        replication: ReplicationConfiguration = ReplicationConfiguration(), faults: WriteFaults?,
        metrics: MetricsRegistry = MetricsRegistry(),
        onFatal: @escaping @Sendable (String) -> Never
    ) async throws(StoreError) {
        let faults = FaultInjection(faults: faults)
        let opened: Result<OpenedStore, StoreError> = await withCheckedContinuation {
            continuation in
            DispatchQueue(label: "lbfgsd.store.open").async {
                do {
                    let opened = try OpenedStore(path, limits: limits, faults: faults)
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
        segments = store.segments.directory
        stager = SegmentStager(
            directory: segments, storePath: path, limits: limits,
            newest: store.newestStagedSegment, onFatal: onFatal)
        memtable = store.memtable
        feed = ReplicationFeed(replication, role: store.directory.role)
        committer = Committer(
            store, limits: limits, metrics: StoreMetrics(metrics), feed: feed, faults: faults,
            onFatal: onFatal)
        findings = store.findings
        if let error = await committer.recoverLog() {
            directory.unlock()
            throw error
        }
        committer.ballast.fill()
    }

    /// Runs `body` on one of the readers' threads.
    func read<Value: Sendable>(
        _ body: @escaping @Sendable (ReadTransaction) throws -> Value
    ) async throws(StoreError) -> Value {
        let refusal: StoreError? = reads.withLock { reads in
            if reads.isClosed { return .closed }
            guard reads.waiting < limits.waitingReadsMax else {
                return .overloaded(.reads, maximum: limits.waitingReadsMax)
            }
            reads.waiting += 1
            return nil
        }
        if let refusal { throw refusal }
        defer { reads.withLock { $0.waiting -= 1 } }
        var result = await attemptRead(body)
        // Bytes that were collected after the transaction began aren't named in the next one. A
        // busy session may have collected others by then, so several attempts are made.
        for _ in 0..<Self.readRetriesMax {
            guard case .failure(let error) = result, error is SegmentReadError else { break }
            result = await attemptRead(body)
        }
        switch result {
        case .success(let value): return value
        case .failure(let error):
            throw StoreFailure(error, directory: directory.path).ofReading
        }
    }

    /// The same for a read of one session, which the error names if something is damaged. Nothing
    /// is read of a session whose entries in the log do not continue its journal.
    func read<Value: Sendable>(
        of session: SessionID, _ body: @escaping @Sendable (ReadTransaction) throws -> Value
    ) async throws(StoreError) -> Value {
        try memtable.check(session)
        do throws(StoreError) {
            return try await read(body)
        } catch {
            throw error.naming(session)
        }
    }

    private func attemptRead<Value: Sendable>(
        _ body: @escaping @Sendable (ReadTransaction) throws -> Value
    ) async -> Result<Value, any Error> {
        return await withCheckedContinuation { continuation in
            pool.asyncRead { [segments] database in
                continuation.resume(
                    returning: Result {
                        try body(ReadTransaction(database: database.get(), segments: segments))
                    })
            }
        }
    }

    func write<Value: Sendable>(
        bytes: Int = 0, undo: UndoStrategy = .savepoint, isRemoval: Bool = false,
        isAdmitted: Bool = false,
        _ body: @escaping @Sendable (inout WriteTransaction) throws -> Value
    ) async throws(StoreError) -> Value {
        try await committer.write(
            bytes: bytes, undo: undo, isRemoval: isRemoval, isAdmitted: isAdmitted, body)
    }

    /// To be called by an event loop's thread when it wakes. Until it calls `eventLoopWillBlock`,
    /// it must call `eventLoopDrained` soon and repeatedly: entries that arrive meanwhile wait for
    /// it.
    public func eventLoopWoke() { committer.eventLoopWoke() }

    /// To be called when the event loop has drained its ready requests: commits the entries that
    /// wait, on the calling thread if they are few and the disk is quick.
    public func eventLoopDrained() { committer.eventLoopDrained() }

    /// To be called before the event loop blocks: does what `eventLoopDrained` does.
    public func eventLoopWillBlock() { committer.eventLoopWillBlock() }

    public func close() async {
        let wasClosed = reads.withLock { reads in
            defer { reads.isClosed = true }
            return reads.isClosed
        }
        guard !wasClosed else { return }
        feed.end()
        await committer.close()
        await withCheckedContinuation { continuation in
            DispatchQueue(label: "lbfgsd.store.close").async { [pool, puncher, segments] in
                puncher.waitUntilIdle()
                segments.remover.waitUntilIdle()
                // Waits for the readers and closes them, so that the writer is the last
                // connection and can remove its WAL.
                pool.releaseMemory()
                try? pool.close()
                continuation.resume()
            }
        }
        directory.unlock()
    }

    /// Returns when all segments that nothing names are removed.
    package func waitForRemovals() { segments.remover.waitUntilIdle() }

    func removalsDone() async { await segments.remover.idle() }
}
