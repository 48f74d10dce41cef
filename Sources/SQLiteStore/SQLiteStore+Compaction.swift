package import DiskLog
public import Foundation
import GRDB
public import SessionModel

/// The outcome of a compaction.
public struct CompactionReport: Equatable, Sendable {
    /// Bytes that the store's files occupy on the disk.
    public var bytesBefore: Int
    public var bytesAfter: Int
    /// Descriptions of vectors that can't be read. They are left where they are.
    public var damaged: [String]
}

extension SQLiteStore {
    /// Makes a store as small as possible while no process has it open: deletes what has expired
    /// (idempotency keys and ended messages from before `horizon`, surplus points of traces),
    /// copies the live bytes of segments that have dead ones to new segments, and rewrites the
    /// database.
    ///
    /// Everything goes through the committer, as in a daemon: a crash at any moment leaves a store
    /// that opens, with each vector in one place or the other. Needs space for the live bytes of
    /// the largest segment, and then for another copy of the database.
    ///
    /// Throws `.inUse` when a process has the store open, and `.failed` when there is no store or
    /// when it belongs to another user: a daemon couldn't read the files that this would write.
    public static func compact(
        directory: String, limits: SQLiteStoreLimits = SQLiteStoreLimits(), horizon: Date,
        onFatal: @escaping @Sendable (String) -> Never = { fatalError("the store failed: \($0)") }
    ) async throws(StoreError) -> CompactionReport {
        try await compact(
            directory: directory, limits: limits, horizon: horizon, faults: nil, onFatal: onFatal)
    }

    package static func compact(
        directory: String, limits: SQLiteStoreLimits, horizon: Date, faults: WriteFaults?,
        onFatal: @escaping @Sendable (String) -> Never
    ) async throws(StoreError) -> CompactionReport {
        guard let owner = DiskFile.owner(of: directory + "/lbfgsd.sqlite") else {
            throw .failed("there is no store in \(directory)")
        }
        guard owner == geteuid() else {
            throw .failed(
                "the store in \(directory) belongs to user \(owner), who couldn't read what user "
                    + "\(geteuid()) writes: run this as that user")
        }
        let store = try await SQLiteStore(
            directory: directory, limits: limits, faults: faults, onFatal: onFatal)
        let before = bytesOnDisk(directory)
        do throws(StoreError) {
            try await store.expireIdempotencyRecords(before: horizon)
            try await store.expireDeliveries(before: horizon)
            try await store.thinTraces()
            let damaged = try await store.rewriteSegments()
            try await store.vacuum()
            await store.close()
            return CompactionReport(
                bytesBefore: before, bytesAfter: bytesOnDisk(directory), damaged: damaged)
        } catch {
            await store.close()
            throw error
        }
    }

    private static func bytesOnDisk(_ directory: String) -> Int {
        // The enumeration would not follow a symbolic link to the directory.
        let directory = URL(filePath: directory).resolvingSymlinksInPath().path
        let names = (try? FileManager.default.subpathsOfDirectory(atPath: directory)) ?? []
        return names.reduce(0) { $0 + DiskFile.allocatedBytes(of: directory + "/" + $1) }
    }

    private func thinTraces() async throws(StoreError) {
        let limit = limits.tracePointsMax
        let long = try await read { transaction in
            try transaction.database.rows(
                sql: "SELECT session FROM holding WHERE points > ?", [limit]
            ).map { try $0.int64(0) }
        }
        for session in long {
            try await write { transaction in
                let newest = try transaction.database.integer(.newestSequence, [session]) ?? 0
                try transaction.retain(
                    session, newest: Int(newest), new: (0, 0), deleted: 0)
            }
        }
    }

    private struct BlobToRelocate: Sendable {
        var blob: Int64
        var length: Int
    }

    /// Relocates the blobs of segments with dead bytes; a segment is removed with its last blob.
    /// Returns descriptions of blobs that can't be read.
    private func rewriteSegments() async throws(StoreError) -> [String] {
        let blobs = try await read { transaction in
            let sql = """
                SELECT blob.id, length FROM segment JOIN blob ON blob.segment = segment.id
                WHERE live < size ORDER BY segment.id, offset
                """
            return try transaction.database.rows(sql: sql)
                .map { try BlobToRelocate(blob: $0.int64(0), length: $0.int(1)) }
        }
        guard !blobs.isEmpty else { return [] }
        try await write { $0.segments.beginSegment() }
        var damaged: [String] = []
        var rest = blobs[...]
        while let first = rest.first {
            var group = [first.blob]
            var bytes = rest.removeFirst().length
            while let next = rest.first, bytes + next.length <= limits.groupBytesMax {
                group.append(next.blob)
                bytes += rest.removeFirst().length
            }
            damaged += try await relocate(group)
        }
        return damaged
    }

    private func relocate(_ blobs: [Int64]) async throws(StoreError) -> [String] {
        var whole: [(blob: Int64, bytes: [UInt8])] = []
        var damaged: [String] = []
        for blob in blobs {
            do throws(StoreError) {
                whole.append((blob, try await read { try $0.bytes(of: blob) }))
            } catch {
                guard case .corrupt(let what) = error else { throw error }
                damaged.append(what)
            }
        }
        try await write(bytes: whole.reduce(0) { $0 + $1.bytes.count }) { [whole] transaction in
            for (blob, bytes) in whole { try transaction.relocate(blob, bytes) }
        }
        return damaged
    }

    private func vacuum() async throws(StoreError) {
        let result: Result<Void, any Error> = await withCheckedContinuation { continuation in
            pool.asyncWriteWithoutTransaction { database in
                continuation.resume(returning: Result { try database.execute(sql: "VACUUM") })
            }
        }
        guard case .failure(let error) = result else { return }
        switch StoreFailure(error, directory: directory.path) {
        case .error(let error): throw error
        case .fatal(let reason): throw .failed(reason)
        }
    }
}
