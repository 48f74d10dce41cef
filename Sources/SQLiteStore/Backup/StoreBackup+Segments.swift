import DiskLog
import GRDB
import SessionModel

extension StoreBackup {
    /// The blobs of a segment by identifier. An identifier is never used twice, so a segment file
    /// with the same size and the same blobs has the same live bytes.
    typealias Blobs = [Int64: BlobRow]

    struct Index {
        var sessions = 0
        var segments: [SegmentRow] = []
        var blobs: [Int64: Blobs] = [:]
        /// Whether no row was passed over.
        var isWhole = true
    }

    /// - Parameter skipsDamage: Whether rows that don't match their checksums are passed over. If
    ///   not, `.corrupt` is thrown.
    static func index(of directory: String, skipsDamage: Bool = false) throws -> Index {
        try reading(directory + "/lbfgsd.sqlite") { database in
            var index = Index()
            let version = try Int.fetchOne(database, sql: "PRAGMA user_version") ?? 0
            guard version == Schema.newestVersion else {
                throw StoreError.incompatible(
                    "the store in \(directory) has schema version \(version); this program "
                        + "backs up version \(Schema.newestVersion)")
            }
            index.sessions = try Int.fetchOne(database, sql: "SELECT count(*) FROM session") ?? 0
            func whole<Row>(_ read: () throws(StoreError) -> Row) throws(StoreError) -> Row? {
                do throws(StoreError) {
                    return try read()
                } catch {
                    guard skipsDamage, case .corrupt = error else { throw error }
                    index.isWhole = false
                    return nil
                }
            }
            for row in try database.rows(sql: SegmentColumn.table.select("")) {
                let segment = try whole { () throws(StoreError) in try SegmentRow(row) }
                if let segment { index.segments.append(segment) }
            }
            let inSegments = BlobColumn.table.select("WHERE segment IS NOT NULL")
            for row in try database.rows(sql: inSegments) {
                let blob = try whole { () throws(StoreError) in try BlobRow(row) }
                guard let blob, let place = blob.place else { continue }
                index.blobs[place.segment, default: [:]][blob.id] = blob
            }
            if !index.isWhole { index.addSegments() }
            return index
        }
    }

    /// Copies the segments that the tables in `target` name, or shares them with another backup.
    static func copySegments(
        _ source: String, to target: String, sharingWith previous: String?
    ) throws -> BackupReport {
        let index = try index(of: target)
        let former = try previous.map { try self.index(of: $0) }
        let formerSizes = Dictionary(
            uniqueKeysWithValues: (former?.segments ?? []).map { ($0.number, $0.size) })
        let directory = SegmentDirectory(source, faults: FaultInjection(faults: nil))
        var report = BackupReport(sessions: index.sessions)
        for segment in index.segments {
            let name = "/segments/" + SegmentDirectory.fileName(segment.number)
            let blobs = index.blobs[segment.number] ?? [:]
            if let previous, formerSizes[segment.number] == segment.size,
                isContained(blobs, in: former?.blobs[segment.number] ?? [:]),
                (try? DiskFile.link(previous + name, as: target + name)) != nil
            {
                report.segmentsShared += 1
                continue
            }
            let copy = try DiskFile(target + name, for: .creating)
            for blob in blobs.values.sorted(by: { $0.id < $1.id }) {
                try pieces(of: blob, in: directory) { offset, bytes in
                    try copy.write(bytes, at: offset)
                    report.bytesCopied += bytes.count
                }
            }
            // What no blob names reads as zeros.
            try copy.truncate(to: segment.size)
            try copy.sync()
            report.segmentsCopied += 1
        }
        return report
    }

    static func isContained(_ blobs: Blobs, in others: Blobs) -> Bool {
        blobs.allSatisfy { id, blob in
            guard let other = others[id] else { return false }
            return other.place == blob.place && other.checksums == blob.checksums
        }
    }

    /// Calls `body` with each MiB of a blob in a segment and its offset, after its checksum was
    /// verified.
    static func pieces(
        of blob: BlobRow, in directory: SegmentDirectory,
        _ body: (Int, [UInt8]) throws -> Void
    ) throws {
        guard let place = blob.place else { return }
        let chunk = ChunkChecksums.chunkBytes
        for (number, start) in stride(from: 0, to: blob.length, by: chunk).enumerated() {
            guard blob.checksums.count >= 4 * number + 4 else {
                throw StoreError.corrupt("blob \(blob.id) has too few checksums")
            }
            let offset = place.range.lowerBound + start
            let slice = SegmentSlice(
                directory: directory, segment: place.segment, offset: offset,
                count: min(chunk, blob.length - start),
                checksums: Array(blob.checksums[4 * number..<4 * number + 4]))
            try body(offset, try slice.readAll())
        }
    }

    /// Reads everything, and says what does not match.
    static func damage(in backup: String) throws -> [String] {
        let directory = SegmentDirectory(
            backup + "/segments", faults: FaultInjection(faults: nil))
        return try reading(backup + "/lbfgsd.sqlite") { database in
            var found = try String.fetchAll(database, sql: "PRAGMA integrity_check")
                .filter { $0 != "ok" }
            let transaction = ReadTransaction(database: database, segments: directory)
            let blobs = try database.rows(sql: BlobColumn.table.select("ORDER BY id"))
            for row in blobs {
                do {
                    let blob = try BlobRow(row)
                    if blob.place == nil {
                        _ = try transaction.bytes(of: blob.id)
                    } else {
                        try pieces(of: blob, in: directory) { _, _ in }
                    }
                } catch {
                    found.append("\(StoreFailure(error, directory: backup).ofReading)")
                }
            }
            do {
                try checkLog(backup + "/journal", against: transaction)
            } catch {
                found.append("\(StoreFailure(error, directory: backup).ofReading)")
            }
            return found
        }
    }

    /// Throws unless the log can be laid over the tables.
    private static func checkLog(_ journal: String, against tables: ReadTransaction) throws {
        let store = try tables.database.storeRow()
        let contents = try LogContents(
            reading: journal, checkpointedEpoch: store.checkpointedEpoch,
            salt: LogSalt(store.logSalt))
        _ = try EntryMemtable(recovering: RecoveredJournal(contents), missingIn: tables)
    }
}

extension StoreBackup.Index {
    /// Adds those that blobs name and whose own rows are damaged.
    fileprivate mutating func addSegments() {
        for (number, blobs) in blobs.sorted(by: { $0.key < $1.key })
        where !segments.contains(where: { $0.number == number }) {
            let size = blobs.values.compactMap { $0.place?.range.upperBound }.max() ?? 0
            segments.append(SegmentRow(number: number, size: size, live: 0))
        }
    }
}
