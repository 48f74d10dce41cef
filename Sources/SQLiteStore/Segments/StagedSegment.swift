import Dispatch
import SessionModel
import Synchronization

/// Long bytes in a segment of their own, whole and synced, that no row names yet.
///
/// They are written by whoever brings them, beside the committer and not in it: while one caller's
/// 800 MB go to the disk, the short writes of others are committed. The row that names them comes
/// with their batch; until then, and after a crash, they are a file that nothing names, which the
/// next start removes. Such a segment goes with its only blob, so that collecting it gives all of
/// its space back.
struct StagedSegment: StoredOctets {
    /// Below 0, which tells them from the segments that the committer appends to.
    let segment: Int64
    let count: Int
    let checksums: [UInt8]
    let directory: String

    func read(into room: UnsafeMutableRawBufferPointer) throws(StoreError) {
        try unsafe SegmentBytes(
            directory: directory, segment: segment, offset: 0, count: count, checksums: checksums
        ).read(into: room)
    }
}

/// Writes segments for the committer to adopt.
final class SegmentStage: Sendable {
    private let directory: String
    private let limits: SQLiteStoreLimits
    private let next: Atomic<Int64>
    private let faults: FaultInjection
    private let path: String
    private let onFatal: @Sendable (String) -> Never
    /// Long writes wait for the disk here, two at a time.
    private let queue: DispatchQueue
    private let room = DispatchSemaphore(value: 2)

    /// - Parameter newest: The newest staged segment of the store, 0 if there is none.
    init(
        directory: StoreDirectory, limits: SQLiteStoreLimits, newest: Int64, faults: FaultInjection,
        onFatal: @escaping @Sendable (String) -> Never
    ) {
        self.directory = directory.segments
        path = directory.path
        self.limits = limits
        next = Atomic(newest - 1)
        self.faults = faults
        self.onFatal = onFatal
        queue = DispatchQueue(label: "lbfgsd.store.stage", attributes: .concurrent)
    }

    /// Runs `body` with what is long in the batch on disk; if `body` throws, it goes again.
    func staging<Value: Sendable>(
        _ batch: Batch, _ body: (Batch) async throws(StoreError) -> Value
    ) async throws(StoreError) -> Value {
        try await keeping { staged async throws(StoreError) in
            var batch = batch
            // Entries below the snapshot that comes with them are written without payload.
            let covered = batch.snapshot?.sequence ?? 0
            for index in batch.entries.indices {
                if batch.entries[index].sequence > covered {
                    try await stage(&batch.entries[index].payload, &staged)
                } else if let early = Self.number(of: batch.entries[index].payload) {
                    batch.entries[index].payload = []
                    remove([early])
                }
            }
            if var snapshot = batch.snapshot {
                try await stage(&snapshot, &staged)
                batch.snapshot = snapshot
            }
            return try await body(batch)
        }
    }

    func staging<Value: Sendable>(
        _ snapshot: SnapshotDraft, _ body: (SnapshotDraft) async throws(StoreError) -> Value
    ) async throws(StoreError) -> Value {
        try await keeping { staged async throws(StoreError) in
            var snapshot = snapshot
            try await stage(&snapshot, &staged)
            return try await body(snapshot)
        }
    }

    /// What `body` has staged is removed if it throws.
    private func keeping<Value: Sendable>(
        _ body: (_ staged: inout [Int64]) async throws(StoreError) -> Value
    ) async throws(StoreError) -> Value {
        var staged: [Int64] = []
        do throws(StoreError) {
            return try await body(&staged)
        } catch {
            remove(staged)
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

    /// Bytes that are to be part of a batch; shorter ones as they are.
    func stage(_ octets: Octets) async throws(StoreError) -> Octets {
        try await keeping { staged async throws(StoreError) in
            var octets = octets
            try await stage(&octets, &staged)
            return octets
        }
    }

    private static func number(of octets: Octets) -> Int64? {
        guard case .stored(let stored) = octets else { return nil }
        return (stored as? StagedSegment)?.segment
    }

    private func stage(_ octets: inout Octets, _ staged: inout [Int64]) async throws(StoreError) {
        if let early = Self.number(of: octets) {
            staged.append(early)
            return
        }
        guard octets.count >= limits.stagedBytesMin else { return }
        let number = next.subtract(1, ordering: .relaxed).oldValue
        staged.append(number)
        let long = octets
        let written: Result<StagedSegment, any Error> = await withCheckedContinuation {
            continuation in
            queue.async {
                self.room.wait()
                defer { self.room.signal() }
                continuation.resume(returning: Result { try self.write(long, as: number) })
            }
        }
        switch written {
        case .success(let segment): octets = .stored(segment)
        case .failure(let error): throw survivable(error)
        }
    }

    /// Returns when the bytes and the file's name are durable.
    private func write(_ octets: Octets, as number: Int64) throws -> StagedSegment {
        var writer = try writer(number)
        try unsafe octets.forEachRegion { try unsafe writer.append($0) }
        return try writer.finish()
    }

    /// Bytes that are to be part of a batch and are still to come; nil if they are short.
    func arriving(byteCount: Int) -> ArrivingSegment? {
        guard byteCount >= limits.arrivingBytesMin else { return nil }
        return ArrivingSegment(next.subtract(1, ordering: .relaxed).oldValue, on: self)
    }

    func writer(_ number: Int64) throws -> SegmentWriter {
        try SegmentWriter(number, in: directory, faults: faults)
    }

    /// Ends the process if the error leaves it in doubt what is on the disk.
    func survivable(_ error: any Error) -> StoreError {
        switch StoreFailure(error, directory: path) {
        case .error(let error): return error
        case .fatal(let reason): onFatal(reason)
        }
    }

    /// What no row names: removed now, or by the next start.
    func remove(_ staged: [Int64]) {
        for number in staged { SegmentRemoval.remove(SegmentLog.path(of: number, in: directory)) }
    }
}
