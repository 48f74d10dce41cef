/// Every statement that runs more than once, in one place, so that a test can ask SQLite for the
/// plan of each: none may scan a table that grows.
package enum Statement: String, CaseIterable {
    // Writes
    case savepoint = "SAVEPOINT write"
    case release = "RELEASE write"
    case rollBack = "ROLLBACK TO write"
    case countSession = "UPDATE store SET sessions = sessions + ? WHERE id = 1"
    case countProbe = "UPDATE store SET probes = probes + 1 WHERE id = 1"
    case setMoved = "UPDATE store SET moved = ? WHERE id = 1"
    case insertSession = """
        INSERT INTO session (public_id, next_checkpoint, name, labels, dtype, origin_session,
            origin_checkpoint, created_at, metadata_version, parameters, memory_bytes, crc)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        """
    case updateSession = """
        UPDATE session SET (public_id, next_checkpoint, name, labels, dtype, origin_session,
            origin_checkpoint, created_at, metadata_version, parameters, memory_bytes, crc)
            = (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        WHERE id = ?
        """
    case deleteSession = "DELETE FROM session WHERE id = ?"
    case insertLabel = "INSERT INTO session_label (session, key, value) VALUES (?, ?, ?)"
    case deleteLabels = "DELETE FROM session_label WHERE session = ?"
    case insertBlob = """
        INSERT INTO blob (length, crcs, bytes, segment, offset) VALUES (?, ?, ?, ?, ?)
        """
    case moveBlob = "UPDATE blob SET segment = ?, offset = ? WHERE id = ?"
    case deleteBlob = "DELETE FROM blob WHERE id = ? RETURNING segment, offset, length"
    case deletePayloads = """
        DELETE FROM blob WHERE id IN (
            SELECT payload FROM event
            WHERE session = ? AND sequence > ? AND sequence <= ? AND payload IS NOT NULL)
        RETURNING segment, offset, length
        """
    case insertVector = "INSERT INTO vector (id, names) VALUES (?, ?)"
    case setVectorNames = "UPDATE vector SET names = ? WHERE id = ?"
    case deleteVector = "DELETE FROM vector WHERE id = ?"
    case insertEvent = """
        INSERT INTO event (session, sequence, kind, time, closed_evaluation, result_digest,
            point_digest, standing_phase, standing_step, standing_evaluation, standing_loss,
            payload, k, step, iteration, loss, gradient_norm, step_length, evaluated_at, crc)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        """
    case deleteEvents = "DELETE FROM event WHERE session = ?"
    case deleteEntry = "DELETE FROM event WHERE session = ? AND sequence = ?"
    case deleteUntraced = """
        DELETE FROM event WHERE session = ? AND sequence >= ? AND sequence <= ? AND k IS NULL
        """
    case insertChapter = """
        INSERT INTO chapter (session, last_evaluation, entries, body, crc) VALUES (?, ?, ?, ?, ?)
        """
    case updateChapter = """
        UPDATE chapter SET (session, last_evaluation, entries, body, crc) = (?, ?, ?, ?, ?)
        WHERE id = ?
        """
    case deleteChapter = "DELETE FROM chapter WHERE id = ?"
    case deleteChapters = "DELETE FROM chapter WHERE session = ?"
    case insertHolding = "INSERT INTO holding (session, entries, points) VALUES (?, 0, 0)"
    case setHolding = "UPDATE holding SET entries = ?, points = ? WHERE session = ?"
    case uncountEntries = "UPDATE holding SET entries = entries - ? WHERE session = ?"
    case deleteHolding = "DELETE FROM holding WHERE session = ?"
    case insertStep = """
        INSERT INTO step (session, number, started_at, ended_at, first_evaluation,
            last_evaluation, reason, loss_before, loss, gradient_norm, iterations, evaluations,
            failure, crc)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        """
    case deleteSteps = "DELETE FROM step WHERE session = ? AND number <= ?"
    case insertSnapshot = """
        INSERT INTO snapshot (session, sequence, format_version, numerics_version, scalars,
            vectors, crc)
        VALUES (?, ?, ?, ?, ?, ?, ?)
        """
    case deleteSnapshot = "DELETE FROM snapshot WHERE id = ?"
    case insertCheckpoint = """
        INSERT INTO checkpoint (session, number, name, sequence, created_at, standing_phase,
            standing_step, standing_evaluation, standing_loss, crc)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        """
    case deleteCheckpoint = """
        DELETE FROM checkpoint WHERE session = ? AND number = ? RETURNING sequence
        """
    case deleteCheckpoints = "DELETE FROM checkpoint WHERE session = ?"
    case insertIdempotency = """
        INSERT INTO idempotency (scope, key, request_digest, outcome, created_at, crc)
        VALUES (?, ?, ?, ?, ?, ?)
        """
    case expireIdempotency = "DELETE FROM idempotency WHERE created_at < ?"
    case insertDelivery = """
        INSERT INTO delivery (public_id, session, session_id, hook, event, url, secret, body,
            created_at, status, attempts, next_attempt_at, last_attempt_at, last_outcome, crc)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        """
    case updateDelivery = """
        UPDATE delivery SET (public_id, session, session_id, hook, event, url, secret, body,
            created_at, status, attempts, next_attempt_at, last_attempt_at, last_outcome, crc)
            = (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        WHERE public_id = ?
        """
    case deleteDeliveries = "DELETE FROM delivery WHERE session = ?"
    case expireDeliveries = """
        DELETE FROM delivery WHERE next_attempt_at IS NULL AND last_attempt_at < ?
        """
    case growSegment = """
        INSERT INTO segment (id, size, live) VALUES (?, ?, ?)
        ON CONFLICT (id) DO UPDATE SET size = excluded.size, live = live + excluded.live
        """
    case shrinkSegment = "UPDATE segment SET live = live + ? WHERE id = ?"
    case deleteDeadSegments = "DELETE FROM segment WHERE live = 0 AND id <> ? RETURNING id"

    case deleteHoles = "DELETE FROM hole WHERE segment = ?"
    case deleteHole = "DELETE FROM hole WHERE segment = ? AND start = ?"
    case insertHole = "INSERT INTO hole (segment, start, stop, is_open) VALUES (?, ?, ?, 1)"
    case closeHole = "UPDATE hole SET is_open = 0 WHERE segment = ? AND start = ? AND stop = ?"

    // Reads
    case session = """
        SELECT id, public_id, next_checkpoint, name, labels, dtype, origin_session,
            origin_checkpoint, created_at, metadata_version, parameters, memory_bytes, crc
        FROM session WHERE public_id = ?
        """
    case sessionRowID = "SELECT id FROM session WHERE public_id = ?"
    case sessionsBelow = """
        SELECT id, public_id, next_checkpoint, name, labels, dtype, origin_session,
            origin_checkpoint, created_at, metadata_version, parameters, memory_bytes, crc
        FROM session WHERE id < ? ORDER BY id DESC LIMIT ?
        """
    case labelledSessionsBelow = """
        SELECT session.id, public_id, next_checkpoint, name, labels, dtype, origin_session,
            origin_checkpoint, created_at, metadata_version, parameters, memory_bytes, crc
        FROM session_label CROSS JOIN session ON session.id = session_label.session
        WHERE key = ? AND value = ? AND session < ? ORDER BY session DESC LIMIT ?
        """
    case sessionCount = "SELECT sessions FROM store WHERE id = 1"
    case newestSequence = """
        SELECT sequence FROM event WHERE session = ? ORDER BY sequence DESC LIMIT 1
        """
    case newestEvent = """
        SELECT session, sequence, kind, time, closed_evaluation, result_digest, point_digest,
            standing_phase, standing_step, standing_evaluation, standing_loss, payload, k, step,
            iteration, loss, gradient_norm, step_length, evaluated_at, crc
        FROM event WHERE session = ? ORDER BY sequence DESC LIMIT 1
        """
    case eventsBetween = """
        SELECT session, sequence, kind, time, closed_evaluation, result_digest, point_digest,
            standing_phase, standing_step, standing_evaluation, standing_loss, payload, k, step,
            iteration, loss, gradient_norm, step_length, evaluated_at, crc
        FROM event WHERE session = ? AND sequence > ? AND sequence <= ? ORDER BY sequence
        """
    case eventsFromEvaluation = """
        SELECT session, sequence, kind, time, closed_evaluation, result_digest, point_digest,
            standing_phase, standing_step, standing_evaluation, standing_loss, payload, k, step,
            iteration, loss, gradient_norm, step_length, evaluated_at, crc
        FROM event WHERE session = ? AND sequence >= ? AND k >= ? ORDER BY sequence LIMIT ?
        """
    case chapterReaching = """
        SELECT id, session, last_evaluation, entries, body, crc FROM chapter
        WHERE session = ? AND last_evaluation >= ? ORDER BY last_evaluation LIMIT 1
        """
    case evaluationsAsked = """
        SELECT standing_evaluation FROM event
        WHERE session = ? AND sequence >= ? ORDER BY sequence LIMIT 1
        """
    case holding = "SELECT entries, points FROM holding WHERE session = ?"
    case countEntries = """
        SELECT count(*), count(k) FROM event WHERE session = ? AND sequence > ? AND sequence <= ?
        """
    case oldestPoints = """
        SELECT sequence FROM event WHERE session = ? AND k IS NOT NULL ORDER BY sequence LIMIT ?
        """
    case payloadBytes = """
        SELECT sum(length) FROM event JOIN blob ON blob.id = event.payload
        WHERE session = ? AND sequence >= ? AND sequence < ?
        """
    case oldestStep = "SELECT min(number) FROM step WHERE session = ?"
    case newestStep = "SELECT max(number) FROM step WHERE session = ?"
    case step = """
        SELECT session, number, started_at, ended_at, first_evaluation, last_evaluation, reason,
            loss_before, loss, gradient_norm, iterations, evaluations, failure, crc
        FROM step WHERE session = ? AND number <= ? ORDER BY number DESC LIMIT 1
        """
    case snapshotAtOrBelow = """
        SELECT id, session, sequence, format_version, numerics_version, scalars, vectors, crc
        FROM snapshot WHERE session = ? AND sequence <= ? ORDER BY sequence DESC, id DESC LIMIT 1
        """
    case snapshots = """
        SELECT id, session, sequence, format_version, numerics_version, scalars, vectors, crc
        FROM snapshot WHERE session = ? ORDER BY sequence
        """
    case snapshotSequences = "SELECT sequence FROM snapshot WHERE session = ? ORDER BY sequence"
    case snapshotSequenceAbove = """
        SELECT min(sequence) FROM snapshot WHERE session = ? AND sequence > ?
        """
    case checkpoint = """
        SELECT session, number, name, sequence, created_at, standing_phase, standing_step,
            standing_evaluation, standing_loss, crc
        FROM checkpoint WHERE session = ? AND number = ?
        """
    case checkpointsBelow = """
        SELECT session, number, name, sequence, created_at, standing_phase, standing_step,
            standing_evaluation, standing_loss, crc
        FROM checkpoint WHERE session = ? AND number < ? ORDER BY number DESC LIMIT ?
        """
    case countCheckpoints = "SELECT count(*) FROM checkpoint WHERE session = ?"
    case newestPinnedSequence = """
        SELECT max(sequence) FROM checkpoint WHERE session = ? AND sequence >= ? AND sequence < ?
        """
    case deliveriesBelow = """
        SELECT id, public_id, session, session_id, hook, event, url, secret, body,
            created_at, status, attempts, next_attempt_at, last_attempt_at, last_outcome, crc
        FROM delivery WHERE session = ? AND hook = ? AND id < ? ORDER BY id DESC LIMIT ?
        """
    case delivery = """
        SELECT id, public_id, session, session_id, hook, event, url, secret, body,
            created_at, status, attempts, next_attempt_at, last_attempt_at, last_outcome, crc
        FROM delivery WHERE public_id = ?
        """
    case dueDeliveries = """
        SELECT id, public_id, session, session_id, hook, event, url, secret, body,
            created_at, status, attempts, next_attempt_at, last_attempt_at, last_outcome, crc
        FROM delivery WHERE next_attempt_at IS NOT NULL AND next_attempt_at <= ?
        ORDER BY next_attempt_at LIMIT ?
        """
    case blob = "SELECT length, crcs, bytes, segment, offset FROM blob WHERE id = ?"
    case blobLength = "SELECT length FROM blob WHERE id = ?"
    case vectorNames = "SELECT names FROM vector WHERE id = ?"
    case holeBelow = """
        SELECT start, stop FROM hole WHERE segment = ? AND start < ? ORDER BY start DESC LIMIT 1
        """
    case holeAt = "SELECT stop FROM hole WHERE segment = ? AND start = ?"
    case openHoles = """
        SELECT segment, start, stop FROM hole INDEXED BY hole_open WHERE is_open = 1
        """
    case idempotency = """
        SELECT scope, key, request_digest, outcome, created_at, crc
        FROM idempotency WHERE scope = ? AND key = ?
        """
}
