/// Every query that runs more than once, in one place, so that a test can ask SQLite for the plan
/// of each: none may scan a table that grows.
package enum StoreQuery: Int, CaseIterable {
    // Writes
    case savepoint
    case releaseSavepoint
    case rollBackToSavepoint
    case addToSessionCount
    case countProbe
    case setCheckpointedEpoch
    case insertSession
    case updateSession
    case deleteSession
    case insertLabel
    case deleteLabels
    case insertBlob
    case relocateBlob
    case deleteBlob
    case deletePayloads
    case insertVector
    case setVectorReferences
    case deleteVector
    case insertEvent
    case deleteEvents
    case deleteEvent
    case deleteUntraced
    case insertTraceBatch
    case updateTraceBatch
    case deleteTraceBatch
    case deleteTraceBatches
    case insertEntryCounts
    case setEntryCounts
    case subtractEntries
    case deleteEntryCounts
    case insertStep
    case deleteSteps
    case insertSnapshot
    case deleteSnapshot
    case insertCheckpoint
    case deleteCheckpoint
    case deleteCheckpoints
    case insertIdempotency
    case expireIdempotency
    case insertDelivery
    case updateDelivery
    case deleteDeliveries
    case expireDeliveries
    case growSegment
    case shrinkSegment
    case deleteDeadSegments
    case deleteHoles
    case deleteHole
    case insertHole
    case closeHole

    // Reads
    case session
    case sessionRowID
    case sessionsBelow
    case labelledSessionsBelow
    case sessionCount
    case newestSequence
    case newestEvent
    case eventsBetween
    case eventsFromEvaluation
    case traceBatchReaching
    case evaluationAtSequence
    case entryCounts
    case countEvents
    case oldestPoints
    case payloadBytes
    case oldestStep
    case newestStep
    case step
    case snapshotAtOrBelow
    case snapshots
    case snapshotSequences
    case snapshotSequenceAbove
    case checkpoint
    case checkpointsBelow
    case countCheckpoints
    case newestPinnedSequence
    case deliveriesBelow
    case delivery
    case dueDeliveries
    case blob
    case blobLength
    case vectorReferences
    case holeBelow
    case holeAt
    case openHoles
    case idempotency

    private static let texts: [String] = allCases.map(\.text)

    /// The query's SQL. It is composed once.
    package var sql: String { Self.texts[rawValue] }
}

extension StoreQuery {
    private var text: String {
        switch self {
        case .savepoint: "SAVEPOINT write"
        case .releaseSavepoint: "RELEASE write"
        case .rollBackToSavepoint: "ROLLBACK TO write"
        case .addToSessionCount: "UPDATE store SET sessions = sessions + ? WHERE id = 1"
        case .countProbe: "UPDATE store SET probes = probes + 1 WHERE id = 1"
        case .setCheckpointedEpoch: "UPDATE store SET moved = ? WHERE id = 1"
        case .insertSession: SessionColumn.table.insert
        case .updateSession: SessionColumn.table.update(where: "id = ?")
        case .deleteSession: "DELETE FROM session WHERE id = ?"
        case .insertLabel: "INSERT INTO session_label (session, key, value) VALUES (?, ?, ?)"
        case .deleteLabels: "DELETE FROM session_label WHERE session = ?"
        case .insertBlob:
            """
            INSERT INTO blob (length, crcs, bytes, segment, offset) VALUES (?, ?, ?, ?, ?)
            """
        case .relocateBlob: "UPDATE blob SET segment = ?, offset = ? WHERE id = ?"
        case .deleteBlob: "DELETE FROM blob WHERE id = ? RETURNING segment, offset, length"
        case .deletePayloads:
            """
            DELETE FROM blob WHERE id IN (
                SELECT payload FROM event
                WHERE session = ? AND sequence > ? AND sequence <= ? AND payload IS NOT NULL)
            RETURNING segment, offset, length
            """
        case .insertVector: "INSERT INTO vector (id, names) VALUES (?, ?)"
        case .setVectorReferences: "UPDATE vector SET names = ? WHERE id = ?"
        case .deleteVector: "DELETE FROM vector WHERE id = ?"
        case .insertEvent: EventColumn.table.insert
        case .deleteEvents: "DELETE FROM event WHERE session = ?"
        case .deleteEvent: "DELETE FROM event WHERE session = ? AND sequence = ?"
        case .deleteUntraced:
            """
            DELETE FROM event WHERE session = ? AND sequence >= ? AND sequence <= ? AND k IS NULL
            """
        case .insertTraceBatch: TraceBatchColumn.table.insert
        case .updateTraceBatch: TraceBatchColumn.table.update(where: "id = ?")
        case .deleteTraceBatch: "DELETE FROM chapter WHERE id = ?"
        case .deleteTraceBatches: "DELETE FROM chapter WHERE session = ?"
        case .insertEntryCounts: "INSERT INTO holding (session, entries, points) VALUES (?, 0, 0)"
        case .setEntryCounts: "UPDATE holding SET entries = ?, points = ? WHERE session = ?"
        case .subtractEntries: "UPDATE holding SET entries = entries - ? WHERE session = ?"
        case .deleteEntryCounts: "DELETE FROM holding WHERE session = ?"
        case .insertStep: StepColumn.table.insert
        case .deleteSteps: "DELETE FROM step WHERE session = ? AND number <= ?"
        case .insertSnapshot: SnapshotColumn.table.insert
        case .deleteSnapshot: "DELETE FROM snapshot WHERE id = ?"
        case .insertCheckpoint: CheckpointColumn.table.insert
        case .deleteCheckpoint:
            """
            DELETE FROM checkpoint WHERE session = ? AND number = ? RETURNING sequence
            """
        case .deleteCheckpoints: "DELETE FROM checkpoint WHERE session = ?"
        case .insertIdempotency: IdempotencyColumn.table.insert
        case .expireIdempotency: "DELETE FROM idempotency WHERE created_at < ?"
        case .insertDelivery: DeliveryColumn.table.insert
        case .updateDelivery: DeliveryColumn.table.update(where: "public_id = ?")
        case .deleteDeliveries: "DELETE FROM delivery WHERE session = ?"
        case .expireDeliveries:
            """
            DELETE FROM delivery WHERE next_attempt_at IS NULL AND last_attempt_at < ?
            """
        case .growSegment:
            """
            INSERT INTO segment (id, size, live) VALUES (?, ?, ?)
            ON CONFLICT (id) DO UPDATE SET size = excluded.size, live = live + excluded.live
            """
        case .shrinkSegment: "UPDATE segment SET live = live + ? WHERE id = ?"
        case .deleteDeadSegments: "DELETE FROM segment WHERE live = 0 AND id <> ? RETURNING id"
        case .deleteHoles: "DELETE FROM hole WHERE segment = ?"
        case .deleteHole: "DELETE FROM hole WHERE segment = ? AND start = ?"
        case .insertHole: "INSERT INTO hole (segment, start, stop, is_open) VALUES (?, ?, ?, 1)"
        case .closeHole: "UPDATE hole SET is_open = 0 WHERE segment = ? AND start = ? AND stop = ?"
        case .session: SessionColumn.table.selectWithID("WHERE public_id = ?")
        case .sessionRowID: "SELECT id FROM session WHERE public_id = ?"
        case .sessionsBelow:
            SessionColumn.table.selectWithID("WHERE id < ? ORDER BY id DESC LIMIT ?")
        case .labelledSessionsBelow:
            """
            SELECT session.id, \(SessionColumn.table.columnList)
            FROM session_label CROSS JOIN session ON session.id = session_label.session
            WHERE key = ? AND value = ? AND session < ? ORDER BY session DESC LIMIT ?
            """
        case .sessionCount: "SELECT sessions FROM store WHERE id = 1"
        case .newestSequence:
            """
            SELECT sequence FROM event WHERE session = ? ORDER BY sequence DESC LIMIT 1
            """
        case .newestEvent:
            EventColumn.table.select(
                "WHERE session = ? ORDER BY sequence DESC LIMIT 1")
        case .eventsBetween:
            EventColumn.table.select(
                "WHERE session = ? AND sequence > ? AND sequence <= ? ORDER BY sequence")
        case .eventsFromEvaluation:
            EventColumn.table.select(
                "WHERE session = ? AND sequence >= ? AND k >= ? ORDER BY sequence LIMIT ?")
        case .traceBatchReaching:
            TraceBatchColumn.table.selectWithID(
                "WHERE session = ? AND last_evaluation >= ? ORDER BY last_evaluation LIMIT 1")
        case .evaluationAtSequence:
            """
            SELECT standing_evaluation FROM event
            WHERE session = ? AND sequence >= ? ORDER BY sequence LIMIT 1
            """
        case .entryCounts: "SELECT entries, points FROM holding WHERE session = ?"
        case .countEvents:
            """
            SELECT count(*), count(k) FROM event
            WHERE session = ? AND sequence > ? AND sequence <= ?
            """
        case .oldestPoints:
            """
            SELECT sequence FROM event WHERE session = ? AND k IS NOT NULL ORDER BY sequence LIMIT ?
            """
        case .payloadBytes:
            """
            SELECT sum(length) FROM event JOIN blob ON blob.id = event.payload
            WHERE session = ? AND sequence >= ? AND sequence < ?
            """
        case .oldestStep: "SELECT min(number) FROM step WHERE session = ?"
        case .newestStep: "SELECT max(number) FROM step WHERE session = ?"
        case .step:
            StepColumn.table.select(
                "WHERE session = ? AND number <= ? ORDER BY number DESC LIMIT 1")
        case .snapshotAtOrBelow:
            SnapshotColumn.table.selectWithID(
                "WHERE session = ? AND sequence <= ? ORDER BY sequence DESC, id DESC LIMIT 1")
        case .snapshots: SnapshotColumn.table.selectWithID("WHERE session = ? ORDER BY sequence")
        case .snapshotSequences: "SELECT sequence FROM snapshot WHERE session = ? ORDER BY sequence"
        case .snapshotSequenceAbove:
            "        SELECT min(sequence) FROM snapshot WHERE session = ? AND sequence > ?"
        case .checkpoint: CheckpointColumn.table.select("WHERE session = ? AND number = ?")
        case .checkpointsBelow:
            CheckpointColumn.table.select(
                "WHERE session = ? AND number < ? ORDER BY number DESC LIMIT ?")
        case .countCheckpoints: "SELECT count(*) FROM checkpoint WHERE session = ?"
        case .newestPinnedSequence:
            """
            SELECT max(sequence) FROM checkpoint
            WHERE session = ? AND sequence >= ? AND sequence < ?
            """
        case .deliveriesBelow:
            DeliveryColumn.table.selectWithID(
                "WHERE session = ? AND hook = ? AND id < ? ORDER BY id DESC LIMIT ?")
        case .delivery: DeliveryColumn.table.selectWithID("WHERE public_id = ?")
        case .dueDeliveries:
            DeliveryColumn.table.selectWithID(
                "WHERE next_attempt_at IS NOT NULL AND next_attempt_at <= ? "
                    + "ORDER BY next_attempt_at LIMIT ?")
        case .blob: "SELECT length, crcs, bytes, segment, offset FROM blob WHERE id = ?"
        case .blobLength: "SELECT length FROM blob WHERE id = ?"
        case .vectorReferences: "SELECT names FROM vector WHERE id = ?"
        case .holeBelow:
            """
            SELECT start, stop FROM hole WHERE segment = ? AND start < ? ORDER BY start DESC LIMIT 1
            """
        case .holeAt: "SELECT stop FROM hole WHERE segment = ? AND start = ?"
        case .openHoles:
            """
            SELECT segment, start, stop FROM hole INDEXED BY hole_open WHERE is_open = 1
            """
        case .idempotency: IdempotencyColumn.table.select("WHERE scope = ? AND key = ?")
        }
    }
}
