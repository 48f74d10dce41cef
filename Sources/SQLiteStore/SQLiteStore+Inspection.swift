import DiskLog
import Foundation
import GRDB
package import SessionModel

// For tests: the contents of the disk that the contract doesn't show.

extension SQLiteStore {
    package func inventory() async throws(StoreError) -> StoreInventory {
        await committer.flushAll()
        // Files that are still being removed don't count.
        await removalsDone()
        return try await read { transaction in
            func count(_ sql: String) throws -> Int {
                try Int.fetchOne(transaction.database, sql: sql) ?? 0
            }
            let directory = transaction.segments.path
            return StoreInventory(
                sessions: try count("SELECT count(*) FROM session"),
                entries: try count("SELECT count(*) FROM event")
                    + count("SELECT total(entries) FROM chapter"),
                payloads: try count(
                    "SELECT count(*) FROM event JOIN blob ON blob.id = event.payload"),
                snapshots: try count("SELECT count(*) FROM snapshot"),
                vectors: try count("SELECT count(*) FROM vector"),
                segmentBytesLive: try count("SELECT total(live) FROM segment"),
                segmentFiles: try FileManager.default.contentsOfDirectory(atPath: directory).count)
        }
    }

    /// As in a store of schema version 3, whose log has no salt.
    package func forgetLogSalt() async throws(StoreError) {
        try await write { transaction in
            try transaction.database.updateStoreRow { $0.logSalt = [] }
        }
    }

    /// As after damage to SQLite's files: the newest entry that the tables have is gone.
    package func loseNewestRow(of session: SessionID) async throws(StoreError) {
        try await write { transaction in
            let row = try transaction.reading.rowID(session)
            let newest = try transaction.database.integer(.newestSequence, [row])
            try transaction.database.run(.deleteEvent, [row, newest ?? 0])
        }
    }

    /// Contradictions within the store; empty when there are none. Reads all of it.
    package func inconsistencies() async throws(StoreError) -> [String] {
        await committer.flushAll()
        return try await read { transaction in
            let database = transaction.database
            var found = try String.fetchAll(database, sql: "PRAGMA integrity_check")
                .filter { $0 != "ok" }
            found += try Row.fetchAll(database, sql: "PRAGMA foreign_key_check").map { "\($0)" }
            var references: [VectorID: Int] = [:]
            var blobs: Set<Int64> = []
            for row in try database.rows(sql: SnapshotColumn.table.selectWithID("")) {
                let snapshot = try SnapshotRow(row)
                blobs.insert(snapshot.scalars)
                for item in snapshot.vectors.items { references[item.id, default: 0] += 1 }
            }
            blobs.formUnion(references.keys)
            blobs.formUnion(
                try Int64.fetchAll(
                    database, sql: "SELECT payload FROM event JOIN blob ON blob.id = payload"))
            let counts = try database.rows(sql: VectorColumn.table.select(""))
                .map(VectorRow.init)
            if Dictionary(uniqueKeysWithValues: counts.map { ($0.id, $0.names) }) != references {
                found.append("vector.names differs from what snapshots name")
            }
            if Set(try Int64.fetchAll(database, sql: "SELECT id FROM blob")) != blobs {
                found.append("there are blobs that nothing names, or names without a blob")
            }
            for blob in blobs { _ = try transaction.bytes(of: blob) }
            let live = """
                SELECT segment.id FROM segment LEFT JOIN
                    (SELECT segment, sum(length) AS length FROM blob GROUP BY segment) AS used
                    ON used.segment = segment.id
                WHERE live <> ifnull(length, 0)
                """
            found += try Int64.fetchAll(database, sql: live).map { "segment \($0) miscounts" }
            found += try self.miscounts(in: database)
            let count = try Int.fetchOne(database, sql: "SELECT count(*) FROM session")
            if try database.storeRow().sessions != count {
                found.append("store.sessions miscounts")
            }
            return found
        }
    }

    /// Segments that are not the sum of their holes and live bytes, and sessions whose counts in
    /// `holding` are wrong.
    private func miscounts(in database: Database) throws -> [String] {
        let uncovered = """
            SELECT segment.id FROM segment LEFT JOIN
                (SELECT segment, sum(stop - start) AS dead FROM hole GROUP BY segment) AS holes
                ON holes.segment = segment.id
            WHERE size <> live + ifnull(dead, 0)
            """
        let overlapping = """
            SELECT hole.segment FROM hole JOIN blob ON blob.segment = hole.segment
            WHERE offset < stop AND start < offset + length
            """
        let holding = """
            SELECT session FROM holding WHERE (
                entries - (SELECT total(entries) FROM chapter
                    WHERE chapter.session = holding.session),
                points - (SELECT total(entries) FROM chapter
                    WHERE chapter.session = holding.session)
            ) <> (
                SELECT count(*), count(k) FROM event WHERE event.session = holding.session
                AND sequence <= (SELECT max(sequence) FROM snapshot
                    WHERE snapshot.session = holding.session))
            """
        for row in try database.rows(sql: SegmentColumn.table.select("")) {
            _ = try SegmentRow(row)
        }
        for row in try database.rows(sql: HoleColumn.table.select("")) { _ = try HoleRow(row) }
        for row in try database.rows(sql: EntryCountsColumn.table.select("")) {
            _ = try EntryCountsRow(row)
        }
        return try Int64.fetchAll(database, sql: uncovered).map { "segment \($0) has gaps" }
            + Int64.fetchAll(database, sql: overlapping).map { "a hole of \($0) is in a blob" }
            + Int64.fetchAll(database, sql: holding).map { "session \($0) miscounts its entries" }
    }

    /// SQLite's plan for each query, one line a step.
    package func plans() async throws(StoreError) -> [StoreQuery: [String]] {
        try await read { transaction in
            var plans: [StoreQuery: [String]] = [:]
            for query in StoreQuery.allCases {
                let rows = try Row.fetchAll(
                    transaction.database, sql: "EXPLAIN QUERY PLAN " + query.sql,
                    arguments: StatementArguments(
                        Array(repeating: 1, count: query.sql.count { $0 == "?" })))
                plans[query] = rows.map { $0["detail"] }
            }
            return plans
        }
    }

    /// The value of a pragma on the writing connection.
    package func pragma(_ name: String) async throws(StoreError) -> String? {
        try await write { transaction in
            try String.fetchOne(transaction.database, sql: "PRAGMA " + name)
        }
    }
}
