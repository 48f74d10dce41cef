public import Foundation
import GRDB
public import SessionModel

/// What a compaction did.
public struct CompactionReport: Equatable, Sendable {
    /// Bytes that the store's files take on the disk.
    public var bytesBefore: Int
    public var bytesAfter: Int
    /// Vectors that can't be read and were left where they are.
    public var damaged: [String]
}

extension SQLiteStore {
    /// Makes a store that no process has open as small as it can be: forgets what has had its time
    /// (idempotency keys and ended messages from before `horizon`, the surplus of traces), copies
    /// what lives in segments with dead bytes to new ones, and rewrites the database.
    ///
    /// Everything goes through the committer, as in a daemon: a crash at any moment leaves a store
    /// that opens, with each vector in one place or the other. Needs room for what lives in the
    /// largest segment, and then for another copy of the database.
    ///
    /// Throws `.failed` when there is no store, when a process has it open, or when it is another
    /// user's: a daemon couldn't read what this would write.
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
        let names = (try? FileManager.default.subpathsOfDirectory(atPath: directory)) ?? []
        return names.reduce(0) { $0 + DiskFile.allocatedBytes(of: directory + "/" + $1) }
    }

    private func thinTraces() async throws(StoreError) {
        let limit = limits.tracePointsMax
        let long = try await read { transaction in
            try Int64.fetchAll(
                transaction.database, sql: "SELECT session FROM holding WHERE points > ?",
                arguments: [limit])
        }
        for session in long {
            try await write { transaction in
                let newest = try transaction.database.integer(.newestSequence, [session]) ?? 0
                try transaction.retain(
                    session, newest: Int(newest), new: (0, 0), deleted: 0)
            }
        }
    }

    private struct Moving: Sendable {
        var blob: Int64
        var length: Int
    }

    /// Moves what lives in segments with dead bytes; the segments go with the last of it. Returns
    /// what can't be moved.
    private func rewriteSegments() async throws(StoreError) -> [String] {
        let moving = try await read { transaction in
            let sql = """
                SELECT blob.id, length FROM segment JOIN blob ON blob.segment = segment.id
                WHERE live < size ORDER BY segment.id, offset
                """
            return try Row.fetchAll(transaction.database, sql: sql)
                .map { Moving(blob: $0[0], length: $0[1]) }
        }
        guard !moving.isEmpty else { return [] }
        try await write { $0.segments.beginSegment() }
        var damaged: [String] = []
        var rest = moving[...]
        while let first = rest.first {
            var lot = [first.blob]
            var bytes = rest.removeFirst().length
            while let next = rest.first, bytes + next.length <= limits.groupBytesMax {
                lot.append(next.blob)
                bytes += rest.removeFirst().length
            }
            damaged += try await move(lot)
        }
        return damaged
    }

    private func move(_ blobs: [Int64]) async throws(StoreError) -> [String] {
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
            for (blob, bytes) in whole { try transaction.move(blob, bytes) }
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

extension WriteTransaction {
    /// Writes a blob's bytes to the end of the newest segment and makes those before dead.
    mutating func move(_ blob: Int64, _ bytes: [UInt8]) throws {
        guard let row = try database.rows(.blob, [blob]).first, let segment: Int64 = row[3],
            let offset: Int = row[4]
        else { throw StoreError.corrupt("blob \(blob) has no place in a segment") }
        let (newSegment, newOffset) = try segments.append(Octets(bytes))
        try database.run(.moveBlob, [newSegment, newOffset, blob])
        segments.release(offset..<offset + bytes.count, in: segment)
    }
}
