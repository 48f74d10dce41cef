import DiskLog
import GRDB
public import SessionModel

/// What can be proved of a session in a damaged store.
///
/// Its state is that after some entry: the newest one that a replay reaches from the newest
/// snapshot that can be read. What came later is left out, so that the session stands where it
/// once stood: a client that repeats its results is shown the same points.
public struct SalvagedSession: Sendable {
    public let record: SessionRecord
    /// The entry after which the session stands, and the newest of which is known that there was.
    public internal(set) var reached: SequenceNumber
    public internal(set) var newestKnown: SequenceNumber
    /// What is lost, in words; empty if the session comes back as it was.
    public internal(set) var lost: [String]

    /// The row of `session`.
    let row: SessionRow

    /// The row's number, by which other tables name the session.
    public var rowID: Int64 { row.id }

    var snapshots: [SnapshotRow] = []
    var events: [(entry: JournalEntry, payload: Int64?)] = []
    var batches: [[JournalEntry]] = []
    /// Entries of the write-ahead log, after the events.
    var logged: [JournalEntry] = []
    var checkpoints: [CheckpointRecord] = []
    var steps: [StepRecord] = []
    var deliveries: [DeliveryRow] = []

    /// The blobs that the snapshots and the events name.
    var blobs: Set<Int64> {
        var blobs = Set(events.compactMap(\.payload))
        for snapshot in snapshots {
            blobs.insert(snapshot.scalars)
            blobs.formUnion(snapshot.vectors.items.map(\.id))
        }
        return blobs
    }
}

extension InspectedStore {
    /// Replays a stretch of a session; the engine is the caller's.
    public typealias Replay = (StoredStretch, SessionRecord) -> ReplayedStretch

    /// What can be proved of a session. Throws `.corrupt` if that is nothing.
    public func salvage(
        _ session: SessionID, replay: Replay
    ) throws(StoreError) -> SalvagedSession {
        do throws(StoreError) {
            return try read { tables in
                var salvage = try Salvage(session, tables, log: log(tables))
                return try salvage.run(replay)
            }
        } catch {
            throw error.naming(session)
        }
    }

    /// Damage of which nobody knows whom it concerns: any session may stand before its newest
    /// state.
    public func generalLosses() throws(StoreError) -> [String] {
        try read { tables in
            var losses: [String] = []
            for finding in findings where finding.file == StoreFinding.tables + "-wal" {
                losses.append(
                    "\(finding.file): \(finding.what) at byte \(finding.offset ?? 0); commits "
                        + "from there on may be lost")
            }
            if let failure = try log(tables).failure { losses.append("journal/: \(failure)") }
            return losses
        }
    }
}

/// The work of `InspectedStore.salvage`.
private struct Salvage {
    let tables: ReadTransaction
    let rowID: Int64
    var result: SalvagedSession

    init(_ session: SessionID, _ tables: ReadTransaction, log: LoggedJournal) throws {
        self.tables = tables
        guard let found = try tables.database.rows(.session, [session.rawValue]).first else {
            throw StoreError.corrupt("the index leads to no row of the session")
        }
        var lost: [String] = []
        let row: SessionRow
        if let whole = try? SessionRow(found) {
            row = whole
        } else if let corrected = ChecksummedRow<SessionColumn>.corrected(found),
            let whole = try? SessionRow(corrected), whole.record.id == session
        {
            row = whole
            lost.append("nothing of its row, in which a bit was corrected")
        } else {
            throw StoreError.corrupt("the row of the session doesn't match its checksum")
        }
        rowID = row.id
        result = SalvagedSession(
            record: row.record, reached: 0, newestKnown: 0, lost: lost, row: row)
        let logged = log.memtable.salvageable(session)
        result.logged = logged.entries
        result.newestKnown = logged.reached
    }

    /// The rows of a table that match their checksums, or do so with one bit corrected.
    private mutating func rows<Column: TableColumn, Value>(
        _: Column.Type, withID: Bool = false, _ read: (ResultRow) throws -> Value
    ) -> [Value] {
        let name = Column.table.name
        let order = withID ? "id" : "rowid"
        let sql =
            withID
            ? Column.table.selectWithID("WHERE session = ? ORDER BY \(order)")
            : Column.table.select("WHERE session = ? ORDER BY \(order)")
        let found: [ResultRow]
        do {
            found = try tables.database.rows(sql: sql, [rowID])
        } catch {
            let reason = StoreFailure(error, directory: "").ofReading
            result.lost.append("all rows of \(name): \(reason)")
            return []
        }
        var damaged = 0
        var values: [Value] = []
        for row in found {
            if let value = try? read(row) {
                values.append(value)
                continue
            }
            let bare = withID ? row.dropFirst() : row
            if let corrected = ChecksummedRow<Column>.corrected(bare),
                let value = try? read(
                    withID ? ResultRow(values: [row[0]] + corrected.values) : corrected)
            {
                values.append(value)
                continue
            }
            damaged += 1
        }
        if damaged > 0 { result.lost.append("\(damaged) of \(found.count) rows of \(name)") }
        return values
    }

    mutating func run(_ replay: InspectedStore.Replay) throws -> SalvagedSession {
        result.events = rows(EventColumn.self) { row in
            let event = try EventRow(row)
            return (entry: event.entry, payload: event.payload)
        }.sorted { $0.entry.sequence < $1.entry.sequence }
        result.batches = rows(TraceBatchColumn.self, withID: true) { try TraceBatch($0).entries }
        result.snapshots = rows(SnapshotColumn.self, withID: true, SnapshotRow.init)
            .sorted { ($0.sequence, $0.id) < ($1.sequence, $1.id) }
        result.checkpoints = rows(CheckpointColumn.self, CheckpointRecord.init)
            .sorted { $0.number < $1.number }
        result.steps = rows(StepColumn.self, StepRecord.init)
        result.deliveries = rows(DeliveryColumn.self, withID: true, DeliveryRow.init)
        let newest = result.events.last?.entry.sequence ?? 0
        // Entries of the log that the tables have by now.
        result.logged.removeAll { $0.sequence <= newest }
        result.newestKnown = max(
            result.newestKnown, newest, result.logged.last?.sequence ?? 0,
            result.snapshots.last?.sequence ?? 0)
        try prove(replay)
        return result
    }

    /// Finds the newest state that can be proved, and the checkpoints, and leaves out what came
    /// later.
    private mutating func prove(_ replay: InspectedStore.Replay) throws {
        var kept: [SnapshotRow] = []
        var checkpoints: [CheckpointNumber] = []
        var newest: (snapshot: SnapshotRow, status: SessionStatus)?
        /// The last entry that a replay from each snapshot needs.
        var needed: [ClosedRange<SequenceNumber>] = []
        var next = Int.max
        for snapshot in result.snapshots.reversed() {
            let own = result.checkpoints.filter { snapshot.sequence..<next ~= $0.sequence }
            next = snapshot.sequence
            // Without checkpoints an older snapshot is there for a newer one that can't be read.
            if newest != nil && own.isEmpty { continue }
            let tail = tail(after: snapshot, checkpoints: newest == nil ? nil : own)
            guard let stored = try? tables.storedInMemory(snapshot) else {
                result.lost.append("snapshot \(snapshot.sequence)")
                continue
            }
            let replayed = replay(
                StoredStretch(
                    snapshot: stored, tail: tail,
                    checkpoints: own.sorted { $0.sequence < $1.sequence }), result.record)
            guard let reached = replayed.reached else {
                result.lost += replayed.differences
                continue
            }
            if newest == nil {
                newest = (snapshot, reached.status)
                result.reached = reached.sequence
            } else if replayed.checkpoints.isEmpty {
                continue
            }
            kept.append(snapshot)
            checkpoints += replayed.checkpoints
            let last =
                newest?.snapshot.id == snapshot.id
                ? reached.sequence
                : own.filter { replayed.checkpoints.contains($0.number) }.map(\.sequence).max()
            if let last, last > snapshot.sequence {
                needed.append(snapshot.sequence + 1...last)
            }
        }
        guard let newest else {
            throw StoreError.corrupt("no state of the session can be read")
        }
        if result.reached < result.newestKnown {
            result.lost.append("entries \(result.reached + 1)...\(result.newestKnown)")
        }
        for checkpoint in result.checkpoints where !checkpoints.contains(checkpoint.number) {
            result.lost.append("checkpoint \(checkpoint.number)")
        }
        result.snapshots = kept.reversed()
        result.checkpoints.removeAll { !checkpoints.contains($0.number) }
        cut(after: newest.snapshot.sequence, status: newest.status, needed: needed)
    }

    /// Leaves out entries after the state that was reached, and those that nothing needs.
    private mutating func cut(
        after newestSnapshot: SequenceNumber, status: SessionStatus,
        needed: [ClosedRange<SequenceNumber>]
    ) {
        let reached = result.reached
        let snapshots = Set(result.snapshots.map(\.sequence))
        let logged = result.logged
        result.logged = logged.filter { $0.sequence <= reached }
        result.events = result.events.filter { event in
            let sequence = event.entry.sequence
            return sequence <= reached
                && (event.entry.trace != nil || sequence == reached
                    || snapshots.contains(sequence)
                    || needed.contains { $0.contains(sequence) })
        }.map { event in
            let isNeeded = needed.contains { $0.contains(event.entry.sequence) }
            return (entry: event.entry, payload: isNeeded ? event.payload : nil)
        }
        result.batches = result.batches.map { batch in
            batch.filter { $0.sequence <= reached }
        }.filter { !$0.isEmpty }
        // A step that has not ended in this state would get its number again.
        result.steps.removeAll { step in
            step.number > status.step || step.number == status.step && status.phase == .evaluating
        }
        guard result.logged.isEmpty, result.events.last?.entry.sequence != reached else { return }
        // The newest entry says where the session stands, and its row is lost.
        let time = result.events.last?.entry.time ?? result.record.createdAt
        result.events.append(
            (
                JournalEntry(
                    sequence: reached, kind: reached == 1 ? .created : .restored, time: time,
                    status: status), nil
            ))
    }

    /// The entries after a snapshot, up to the first that is missing or whose payload is.
    /// - Parameter checkpoints: Up to the last of these; nil: up to the newest entry.
    private func tail(
        after snapshot: SnapshotRow, checkpoints: [CheckpointRecord]?
    ) -> [JournalEntry] {
        var tail: [JournalEntry] = []
        var expected = snapshot.sequence + 1
        let end = checkpoints.map { $0.map(\.sequence).max() ?? 0 } ?? Int.max
        for event in result.events where event.entry.sequence >= expected {
            guard event.entry.sequence == expected, expected <= end else { break }
            var entry = event.entry
            if let payload = event.payload {
                guard let octets = try? tables.octetsInMemory(of: payload) else { return tail }
                entry.payload = octets
            }
            tail.append(entry)
            expected += 1
        }
        guard expected > (result.events.last?.entry.sequence ?? 0) else { return tail }
        for entry in result.logged {
            guard entry.sequence == expected, expected <= end else { break }
            tail.append(entry)
            expected += 1
        }
        return tail
    }
}

extension ReadTransaction {
    /// A blob's bytes, which are read whole now: what can't be read must not be taken for whole.
    /// Those of long ones are read, and not kept.
    fileprivate func octetsInMemory(of blob: Int64) throws -> Octets {
        let octets = try octets(of: blob)
        if case .stored = octets, let row = try database.rows(.blob, [blob]).first {
            try StoreBackup.pieces(of: BlobRow(row.dropFirst()), in: segments) { _, _ in }
        }
        return octets
    }

    fileprivate func storedInMemory(_ snapshot: SnapshotRow) throws -> StoredSnapshot {
        for item in snapshot.vectors.items { _ = try octetsInMemory(of: item.id) }
        return try stored(snapshot)
    }
}
