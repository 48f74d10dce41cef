/// Every query that runs more than once, in one place, so that a test can ask SQLite for the plan
/// of each: none may scan a table that grows.
package enum StoreQuery: Int, CaseIterable {
    // Writes
    case savepoint
    case releaseSavepoint
    case rollBackToSavepoint
    case updateStore
    case insertSession
    case updateSession
    case deleteSession
    case insertLabel
    case deleteLabels
    case insertBlob
    case relocateBlob
    case deleteBlob
    case insertVector
    case updateVector
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
    case updateEntryCounts
    case deleteEntryCounts
    case insertStep
    case deleteSteps
    case insertSnapshot
    case deleteSnapshot
    case insertCheckpoint
    case updateCheckpoint
    case deleteCheckpoint
    case deleteCheckpoints
    case insertIdempotency
    case expireIdempotency
    case deleteOldKeys
    case insertDelivery
    case updateDelivery
    case deleteDeliveries
    case deleteEndedDeliveries
    case expireDeliveries
    case insertSegment
    case updateSegment
    case deleteSegment
    case insertTombstone
    case deleteTombstones
    case insertDetached
    case deleteDetached
    case deleteHoles
    case deleteHole
    case insertHole
    case closeHole
    case insertEnsemble
    case updateEnsemble
    case deleteEnsemble
    case insertMember
    case updateMember
    case deleteMember
    case deleteMembers

    // Reads
    case store
    case tombstone
    case newSessionID
    case newBlobID
    case session
    case sessionInIndex
    case sessionName
    case tenantInIndex
    case sessionsBelow
    case labelledSessionsBelow
    case namedSessionsBelow
    case namedSessionsOfTenantBelow
    case sessionsOfTenantBelow
    case labelledSessionsOfTenantBelow
    case sessionsOfTenant
    case sessionCountOfTenant
    case newestSequence
    case newestEvent
    case eventsBetween
    case payloadsBetween
    case eventsFrom
    case countEventRows
    case countBatchedEntries
    case newestSnapshotSequence
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
    case keptCheckpoint
    case newestPinnedSequence
    case deliveriesBelow
    case delivery
    case dueDeliveries
    case pendingDeliveryCount
    case pendingDeliveryCountOfSession
    case blob
    case blobLength
    case vector
    case segment
    case deadSegments
    case holeBelow
    case holeAt
    case openHoles
    case idempotency
    case newEnsembleID
    case ensemble
    case ensemblesBelow
    case ensemblesOfTenantBelow
    case ensembleCountOfTenant
    case member
    case memberOfSession
    case ensembleOfSession
    case members
    case anyMember

    private static let texts: [String] = allCases.map(\.text)

    /// The query's SQL. It is composed once.
    package var sql: String { Self.texts[rawValue] }
}

extension StoreQuery {
    private static let namedSessions =
        SessionColumn.table.select("INDEXED BY session_by_name WHERE name = ? AND id < ?")

    private var text: String {
        switch self {
        case .savepoint: "SAVEPOINT write"
        case .releaseSavepoint: "RELEASE write"
        case .rollBackToSavepoint: "ROLLBACK TO write"
        case .updateStore: StoreColumn.table.update(byFirst: 1)
        case .insertSession: SessionColumn.table.insert
        case .updateSession: SessionColumn.table.update(byFirst: 1)
        case .deleteSession: "DELETE FROM session WHERE id = ?"
        case .insertLabel: "INSERT INTO session_label (session, key, value) VALUES (?, ?, ?)"
        case .deleteLabels: "DELETE FROM session_label WHERE session = ?"
        case .insertBlob:
            """
            INSERT INTO blob (\(BlobColumn.table.columnList), bytes) VALUES (?, ?, ?, ?, ?, ?, ?)
            """
        case .relocateBlob: BlobColumn.table.update(byFirst: 1)
        case .deleteBlob: "DELETE FROM blob WHERE id = ? RETURNING \(BlobColumn.table.columnList)"
        case .insertVector: VectorColumn.table.insert
        case .updateVector: VectorColumn.table.update(byFirst: 1)
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
        case .insertEntryCounts: EntryCountsColumn.table.insert
        case .updateEntryCounts: EntryCountsColumn.table.update(byFirst: 1)
        case .deleteEntryCounts: "DELETE FROM holding WHERE session = ?"
        case .insertStep: StepColumn.table.insert
        case .deleteSteps: "DELETE FROM step WHERE session = ? AND number <= ?"
        case .insertSnapshot: SnapshotColumn.table.insert
        case .deleteSnapshot: "DELETE FROM snapshot WHERE id = ?"
        case .insertCheckpoint: CheckpointColumn.table.insert
        case .updateCheckpoint: CheckpointColumn.table.update(byFirst: 2)
        case .deleteCheckpoint:
            """
            DELETE FROM checkpoint WHERE session = ? AND number = ? RETURNING sequence
            """
        case .deleteCheckpoints: "DELETE FROM checkpoint WHERE session = ?"
        case .insertIdempotency: IdempotencyColumn.table.insert
        case .expireIdempotency: "DELETE FROM idempotency WHERE created_at < ?"
        case .deleteOldKeys:
            """
            DELETE FROM idempotency WHERE rowid IN (
                SELECT rowid FROM idempotency INDEXED BY idempotency_by_key
                WHERE scope >= ? AND scope < ?
                ORDER BY rowid DESC LIMIT -1 OFFSET ?)
            """
        case .insertDelivery: DeliveryColumn.table.insert
        case .updateDelivery: DeliveryColumn.table.update(where: "public_id = ?")
        case .deleteDeliveries: "DELETE FROM delivery WHERE session = ?"
        case .deleteEndedDeliveries:
            """
            DELETE FROM delivery WHERE id IN (
                SELECT id FROM delivery INDEXED BY delivery_by_hook
                WHERE session = ? AND next_attempt_at IS NULL
                ORDER BY id DESC LIMIT -1 OFFSET ?)
            """
        case .expireDeliveries:
            """
            DELETE FROM delivery WHERE next_attempt_at IS NULL AND last_attempt_at < ?
            """
        case .insertSegment: SegmentColumn.table.insert
        case .updateSegment: SegmentColumn.table.update(byFirst: 1)
        case .deleteSegment: "DELETE FROM segment WHERE id = ?"
        case .insertTombstone: TombstoneColumn.table.replace
        case .deleteTombstones: "DELETE FROM tombstone WHERE moved <= ?"
        case .insertDetached: DetachedColumn.table.replace
        case .deleteDetached: "DELETE FROM detached WHERE public_id = ?"
        case .deleteHoles: "DELETE FROM hole WHERE segment = ?"
        case .deleteHole: "DELETE FROM hole WHERE segment = ? AND start = ?"
        case .insertHole: HoleColumn.table.insert
        case .closeHole: HoleColumn.table.update(byFirst: 3)
        case .tombstone: TombstoneColumn.table.select("WHERE public_id = ?")
        case .store: StoreColumn.table.select("WHERE id = 1")
        // Never used twice: the table sqlite_sequence has the highest of each table.
        case .newSessionID:
            """
            SELECT 1 + max(
                ifnull((SELECT max(id) FROM session), 0),
                ifnull((SELECT seq FROM sqlite_sequence WHERE name = 'session'), 0))
            """
        case .newBlobID:
            """
            SELECT 1 + max(
                ifnull((SELECT max(id) FROM blob), 0),
                ifnull((SELECT seq FROM sqlite_sequence WHERE name = 'blob'), 0))
            """
        case .session: SessionColumn.table.select("WHERE public_id = ?")
        case .sessionInIndex: "SELECT id FROM session WHERE public_id = ?"
        case .sessionName: "SELECT public_id FROM session WHERE id = ?"
        case .tenantInIndex:
            "SELECT id FROM session INDEXED BY session_by_tenant WHERE tenant = ? AND id = ?"
        case .sessionsBelow:
            SessionColumn.table.select("WHERE id < ? ORDER BY id DESC LIMIT ?")
        case .labelledSessionsBelow:
            """
            SELECT \(SessionColumn.table.columnList)
            FROM session_label CROSS JOIN session ON session.id = session_label.session
            WHERE key = ? AND value = ? AND session < ? ORDER BY session DESC LIMIT ?
            """
        case .sessionsOfTenantBelow:
            SessionColumn.table.select("WHERE tenant = ? AND id < ? ORDER BY id DESC LIMIT ?")
        case .labelledSessionsOfTenantBelow:
            """
            SELECT \(SessionColumn.table.columnList)
            FROM session_label CROSS JOIN session ON session.id = session_label.session
            WHERE key = ? AND value = ? AND session < ? AND tenant = ?
            ORDER BY session DESC LIMIT ?
            """
        case .namedSessionsBelow:
            "\(Self.namedSessions) ORDER BY id DESC LIMIT ?"
        case .namedSessionsOfTenantBelow:
            "\(Self.namedSessions) AND tenant = ? ORDER BY id DESC LIMIT ?"
        case .sessionsOfTenant: "SELECT public_id FROM session WHERE tenant = ?"
        case .sessionCountOfTenant: "SELECT count(*) FROM session WHERE tenant = ?"
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
        case .payloadsBetween:
            EventColumn.table.select(
                "WHERE session = ? AND sequence > ? AND sequence <= ? AND payload IS NOT NULL")
        case .eventsFrom:
            EventColumn.table.select(
                "WHERE session = ? AND sequence >= ? ORDER BY sequence LIMIT ?")
        case .countEventRows: "SELECT count(*) FROM event WHERE session = ?"
        case .countBatchedEntries: "SELECT sum(entries) FROM chapter WHERE session = ?"
        case .newestSnapshotSequence: "SELECT max(sequence) FROM snapshot WHERE session = ?"
        case .traceBatchReaching:
            TraceBatchColumn.table.selectWithID(
                "WHERE session = ? AND last_evaluation >= ? ORDER BY last_evaluation LIMIT 1")
        case .evaluationAtSequence:
            """
            SELECT standing_evaluation FROM event
            WHERE session = ? AND sequence >= ? ORDER BY sequence LIMIT 1
            """
        case .entryCounts: EntryCountsColumn.table.select("WHERE session = ?")
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
        case .keptCheckpoint:
            "SELECT number FROM checkpoint WHERE session = ? AND keep <> 0 LIMIT 1"
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
                    + "ORDER BY next_attempt_at LIMIT ? OFFSET ?")
        case .pendingDeliveryCount:
            "SELECT count(*) FROM delivery WHERE next_attempt_at IS NOT NULL"
        case .pendingDeliveryCountOfSession:
            """
            SELECT count(*) FROM delivery INDEXED BY delivery_by_hook
            WHERE session = ? AND next_attempt_at IS NOT NULL
            """
        case .blob: "SELECT bytes, \(BlobColumn.table.columnList) FROM blob WHERE id = ?"
        case .blobLength: "SELECT length FROM blob WHERE id = ?"
        case .vector: VectorColumn.table.select("WHERE id = ?")
        case .segment: SegmentColumn.table.select("WHERE id = ?")
        case .deadSegments:
            SegmentColumn.table.select("INDEXED BY segment_dead WHERE live = 0 AND id <> ?")
        case .holeBelow:
            HoleColumn.table.select("WHERE segment = ? AND start < ? ORDER BY start DESC LIMIT 1")
        case .holeAt: HoleColumn.table.select("WHERE segment = ? AND start = ?")
        case .openHoles: HoleColumn.table.select("INDEXED BY hole_open WHERE is_open = 1")
        case .idempotency: IdempotencyColumn.table.select("WHERE scope = ? AND key = ?")
        case .insertEnsemble: EnsembleColumn.table.insert
        case .updateEnsemble: EnsembleColumn.table.update(byFirst: 1)
        case .deleteEnsemble: "DELETE FROM ensemble WHERE id = ?"
        case .insertMember: MemberColumn.table.insert
        case .updateMember: MemberColumn.table.update(byFirst: 2)
        case .deleteMember: "DELETE FROM ensemble_member WHERE session = ?"
        case .deleteMembers: "DELETE FROM ensemble_member WHERE ensemble = ?"
        case .newEnsembleID:
            """
            SELECT 1 + max(
                ifnull((SELECT max(id) FROM ensemble), 0),
                ifnull((SELECT seq FROM sqlite_sequence WHERE name = 'ensemble'), 0))
            """
        case .ensemble: EnsembleColumn.table.select("WHERE public_id = ?")
        case .ensemblesBelow:
            EnsembleColumn.table.select("WHERE id < ? ORDER BY id DESC LIMIT ?")
        case .ensemblesOfTenantBelow:
            EnsembleColumn.table.select("WHERE tenant = ? AND id < ? ORDER BY id DESC LIMIT ?")
        case .ensembleCountOfTenant: "SELECT count(*) FROM ensemble WHERE tenant = ?"
        case .member: MemberColumn.table.select("WHERE ensemble = ? AND number = ?")
        case .memberOfSession:
            MemberColumn.table.select(
                "INDEXED BY ensemble_member_by_session WHERE session = ?")
        case .ensembleOfSession:
            """
            SELECT public_id FROM ensemble_member INDEXED BY ensemble_member_by_session
            JOIN ensemble ON ensemble.id = ensemble_member.ensemble WHERE session = ?
            """
        case .members:
            """
            SELECT session.public_id, \(MemberColumn.table.columnList(of: "ensemble_member"))
            FROM ensemble_member JOIN session ON session.id = ensemble_member.session
            WHERE ensemble = ? ORDER BY number
            """
        case .anyMember: "SELECT number FROM ensemble_member WHERE ensemble = ? LIMIT 1"
        }
    }
}
