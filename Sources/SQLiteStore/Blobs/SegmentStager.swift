import Dispatch
import DiskLog
import SessionModel
import Synchronization

/// Writes long payloads and vectors to segments of their own, ahead of the transaction that names
/// them.
///
/// The caller's task writes them, not the committer: while one caller's 800 MB go to the disk, the
/// short writes of others are committed. Until a row names it, a staged segment is a file that the
/// next start removes. It holds only one blob, so that collecting the blob frees its space.
final class SegmentStager: Sendable {
    private let directory: SegmentDirectory
    private let storePath: String
    private let limits: SQLiteStoreLimits
    /// The number of the next staged segment; they fall from -1.
    private let nextNumber: Atomic<Int64>
    private let onFatal: @Sendable (String) -> Never
    private let queue = DispatchQueue(label: "lbfgsd.store.stage", attributes: .concurrent)
    /// Two segments are written at a time.
    private let slots = DispatchSemaphore(value: 2)

    /// - Parameter newest: The newest staged segment of the store, 0 if there is none.
    init(
        directory: SegmentDirectory, storePath: String, limits: SQLiteStoreLimits, newest: Int64,
        onFatal: @escaping @Sendable (String) -> Never
    ) {
        self.directory = directory
        self.storePath = storePath
        self.limits = limits
        nextNumber = Atomic(newest - 1)
        self.onFatal = onFatal
    }

    /// Runs `body` with a batch whose long payloads are staged; removes them if `body` throws.
    func staging<Value: Sendable>(
        _ batch: Batch, _ body: (Batch) async throws(StoreError) -> Value
    ) async throws(StoreError) -> Value {
        try await removingOnError { staged async throws(StoreError) in
            var batch = batch
            // Entries up to the snapshot that comes with them are written without payload.
            let covered = batch.snapshot?.sequence ?? 0
            for index in batch.entries.indices {
                if batch.entries[index].sequence > covered {
                    try await stage(&batch.entries[index].payload, &staged)
                } else if let unneeded = Self.number(of: batch.entries[index].payload) {
                    batch.entries[index].payload = []
                    directory.remove(unneeded)
                }
            }
            if var snapshot = batch.snapshot {
                try await stage(&snapshot, &staged)
                batch.snapshot = snapshot
            }
            return try await body(batch)
        }
    }

    /// Runs `body` with a snapshot whose long vectors are staged; removes them if `body` throws.
    func staging<Value: Sendable>(
        _ snapshot: SnapshotDraft, _ body: (SnapshotDraft) async throws(StoreError) -> Value
    ) async throws(StoreError) -> Value {
        try await removingOnError { staged async throws(StoreError) in
            var snapshot = snapshot
            try await stage(&snapshot, &staged)
            return try await body(snapshot)
        }
    }

    private func removingOnError<Value: Sendable>(
        _ body: (_ staged: inout [Int64]) async throws(StoreError) -> Value
    ) async throws(StoreError) -> Value {
        var staged: [Int64] = []
        do throws(StoreError) {
            return try await body(&staged)
        } catch {
            for segment in staged { directory.remove(segment) }
            throw error
        }
    }

    private func stage(
        _ snapshot: inout SnapshotDraft, _ staged: inout [Int64]
    ) async throws(StoreError) {
        for index in snapshot.vectors.indices {
            guard case .new(var octets) = snapshot.vectors[index].content else { continue }
            try await stage(&octets, &staged)
            snapshot.vectors[index].content = .new(octets)
        }
    }

    /// Stages bytes for a later batch; short ones are returned as they are.
    func stage(_ octets: Octets) async throws(StoreError) -> Octets {
        try await removingOnError { staged async throws(StoreError) in
            var octets = octets
            try await stage(&octets, &staged)
            return octets
        }
    }

    /// The segment of bytes that are staged already.
    private static func number(of octets: Octets) -> Int64? {
        guard case .stored(let stored) = octets else { return nil }
        return (stored as? StagedOctets)?.slice.segment
    }

    private func stage(_ octets: inout Octets, _ staged: inout [Int64]) async throws(StoreError) {
        if let number = Self.number(of: octets) {
            staged.append(number)
            return
        }
        guard octets.count >= limits.stagedBytesMin else { return }
        let number = takeNumber()
        staged.append(number)
        let long = octets
        let written: Result<SegmentSlice, any Error> = await withCheckedContinuation {
            continuation in
            queue.async {
                self.slots.wait()
                defer { self.slots.signal() }
                continuation.resume(returning: Result { try self.write(long, as: number) })
            }
        }
        switch written {
        case .success(let slice): octets = .stored(StagedOctets(slice: slice))
        case .failure(let error): throw survivable(error)
        }
    }

    /// Returns when the bytes and the file's name are durable.
    private func write(_ octets: Octets, as number: Int64) throws -> SegmentSlice {
        var writer = try writer(number)
        try unsafe octets.forEachRegion { try unsafe writer.append($0) }
        return try writer.finish()
    }

    /// A segment for bytes that are still to arrive; nil if they are short.
    func receive(byteCount: Int) -> ReceivingSegment? {
        guard byteCount >= limits.arrivingBytesMin else { return nil }
        return ReceivingSegment(takeNumber(), on: self)
    }

    private func takeNumber() -> Int64 { nextNumber.subtract(1, ordering: .relaxed).oldValue }

    func writer(_ number: Int64) throws -> SegmentWriter {
        try SegmentWriter(number, in: directory)
    }

    /// Removes a staged segment that no row names.
    func remove(_ number: Int64) { directory.remove(number) }

    /// Ends the process if the error leaves the contents of the disk in doubt.
    func survivable(_ error: any Error) -> StoreError {
        switch StoreFailure(error, directory: storePath) {
        case .error(let error): return error
        case .fatal(let reason): onFatal(reason)
        }
    }
}
