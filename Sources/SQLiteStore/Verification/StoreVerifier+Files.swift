import DiskLog
import Foundation
import GRDB
import SessionModel

// What rows say of bytes, and the files.

extension StoreVerifier {
    mutating func checkBlobs() throws {
        try forEachRow(BlobColumn.self, others: ["bytes"]) { verifier, rowID, row in
            let blob = try BlobRow(row.dropFirst())
            guard blob.id == rowID else {
                throw StoreError.corrupt("a row of blob has another rowid than \(blob.id)")
            }
            verifier.read(blob.length)
            if blob.place == nil {
                let bytes = row[0].bytes ?? []
                guard bytes.count == blob.length,
                    PreparedBytes(bytes).checksums == blob.checksums
                else { throw StoreError.corrupt("blob \(blob.id) doesn't match its checksum") }
            } else {
                try verifier.checkBytes(of: blob)
            }
        }
        let database = tables.database
        try database.execute(sql: "CREATE INDEX temp.named_by_blob ON named (blob)")
        for row in try database.rows(
            sql: "SELECT DISTINCT blob FROM temp.named WHERE blob NOT IN (SELECT id FROM blob)")
        {
            let blob = try row.int64(0)
            found(try owner(ofBlob: blob), what: "blob \(blob) is missing")
        }
        try report("SELECT id FROM blob WHERE id NOT IN (SELECT blob FROM temp.named)") {
            "nothing names blob \($0)"
        }
        try report(
            "SELECT blob FROM temp.named GROUP BY blob HAVING count(DISTINCT use) > 1"
        ) { "blob \($0) is named in two ways" }
        try report(
            """
            SELECT blob FROM temp.named WHERE use <> 'vector' GROUP BY blob HAVING count(*) > 1
            """
        ) { "blob \($0) is named twice" }
        try forEachRow(VectorColumn.self) { _, rowID, row in
            guard try VectorRow(row).id == rowID else {
                throw StoreError.corrupt("a row of vector has another rowid")
            }
        }
        try report(
            """
            SELECT id FROM vector WHERE names <> (
                SELECT count(*) FROM temp.named WHERE blob = vector.id AND use = 'vector')
            """
        ) { "vector \($0) has another count of the snapshots that name it" }
        try report(
            """
            SELECT DISTINCT blob FROM temp.named
            WHERE use = 'vector' AND blob NOT IN (SELECT id FROM vector)
            """
        ) { "vector \($0) has no row" }
    }

    /// A session whose newest rows name a blob, if that is found soon.
    private func owner(ofBlob blob: Int64) throws -> SessionID? {
        let rows = try tables.database.rows(
            sql: "SELECT session FROM event WHERE payload = ? LIMIT 1", [blob])
        if let row = rows.first { return sessions[try row.int64(0)] }
        for row in try tables.database.rows(sql: SnapshotColumn.table.selectWithID("")) {
            guard let snapshot = try? SnapshotRow(row),
                snapshot.scalars == blob
                    || snapshot.vectors.items.contains(where: { $0.id == blob })
            else { continue }
            return row[1 + SnapshotColumn.session.rawValue].integer.flatMap { sessions[$0] }
        }
        return nil
    }

    private mutating func checkBytes(of blob: BlobRow) throws {
        do {
            try StoreBackup.pieces(of: blob, in: store.segments) { _, _ in }
        } catch let error as SegmentReadError {
            let owner = try owner(ofBlob: blob.id)
            switch error {
            case .missingFile(let path):
                found(owner, file: store.relative(path), what: "the file is missing")
            case .shortFile(let path, let offset, let count):
                found(
                    owner, file: store.relative(path), offset: offset,
                    what: "the file ends before these \(count) bytes")
            case .wrongChecksum(let path, let offset):
                found(
                    owner, file: store.relative(path), offset: offset,
                    what: "up to a MiB from here doesn't match its checksum")
            }
        }
    }

    mutating func checkSegments() throws {
        var numbers: Set<Int64> = []
        try forEachRow(SegmentColumn.self) { verifier, rowID, row in
            let segment = try SegmentRow(row)
            guard segment.number == rowID else {
                throw StoreError.corrupt("a row of segment has another rowid")
            }
            numbers.insert(segment.number)
            let name = "segments/" + SegmentDirectory.fileName(segment.number)
            do {
                let size = try DiskFile(
                    verifier.store.directory + "/" + name, for: .reading
                ).size()
                if size < segment.size {
                    verifier.found(
                        file: name, offset: size,
                        what: "the file should have \(segment.size) bytes")
                } else if size > segment.size {
                    verifier.noted(
                        file: name, offset: segment.size,
                        what: "\(size - segment.size) bytes were written and not committed")
                }
            } catch let error as FileError where error.isAbsent {
                if segment.live > 0 { verifier.found(file: name, what: "the file is missing") }
            }
        }
        try forEachRowWithoutID(HoleColumn.self) { _, row in _ = try HoleRow(row) }
        try report(
            """
            SELECT segment.id FROM segment LEFT JOIN
                (SELECT segment, sum(length) AS length FROM blob GROUP BY segment) AS used
                ON used.segment = segment.id
            WHERE live <> ifnull(length, 0)
            """
        ) { "segment \($0) has another count of the bytes that blobs name" }
        try report(
            """
            SELECT segment.id FROM segment LEFT JOIN
                (SELECT segment, sum(stop - start) AS dead FROM hole GROUP BY segment) AS holes
                ON holes.segment = segment.id
            WHERE size <> live + ifnull(dead, 0)
            """
        ) { "segment \($0) has bytes that are neither named nor free" }
        try report(
            """
            SELECT DISTINCT segment FROM (
                SELECT segment, start, max(stop) OVER (
                    PARTITION BY segment ORDER BY start, stop
                    ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS former
                FROM (
                    SELECT segment, start, stop FROM hole
                    UNION ALL SELECT segment, offset, offset + length FROM blob
                        WHERE segment IS NOT NULL AND length > 0))
            WHERE start < former
            """
        ) { "bytes of segment \($0) are named twice, or free and named" }
        try report(
            """
            SELECT DISTINCT segment FROM blob
            WHERE segment IS NOT NULL AND segment NOT IN (SELECT id FROM segment)
            """
        ) { "segment \($0) has no row" }
        let directory = store.directory + "/segments"
        for name in try FileManager.default.contentsOfDirectory(atPath: directory).sorted() {
            if let number = SegmentDirectory.number(ofFile: name), numbers.contains(number) {
                continue
            }
            noted(file: "segments/" + name, what: "no row names the file")
        }
    }

    mutating func checkLog() throws {
        let log = try store.log(tables)
        if let failure = log.failure { found(file: "journal", what: failure) }
        guard let contents = log.contents else { return }
        for finding in contents.findings {
            switch finding {
            case .correctedBit(let path, let byte):
                found(
                    file: store.relative(path), offset: byte,
                    what: "a bit has changed; the daemon corrects it")
            case .incompleteFrame(let path, let offset, let bytes):
                noted(
                    file: store.relative(path), offset: offset,
                    what: "the newest record, \(bytes) bytes, is incomplete")
            }
        }
        for gap in contents.gaps {
            found(
                file: store.relative(gap.path), offset: gap.offset,
                what: "\(gap.frames) of the log's records are damaged")
        }
        for session in sessions.values {
            do throws(StoreError) {
                try log.memtable.check(session)
            } catch {
                guard case .corrupt(let what) = error else { continue }
                found(session, file: "journal", what: what)
            }
        }
    }
}
