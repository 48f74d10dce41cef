import GRDB
import SessionModel

// What a session keeps of its history besides its state: the trace, thinned out, and its steps.
//
// An entry that nothing replays is kept only for its trace. An entry without one is deleted, unless
// it is the newest, which holds the session's status. Entries are deleted in the transaction of a
// new snapshot or of a checkpoint's removal, and counted in the table `holding`.

extension WriteTransaction {
    /// Deletes the entries of a stretch that have no trace. Nothing may replay them any more.
    /// Returns how many there were.
    func deleteUntraced(
        _ session: Int64, from first: SequenceNumber, through last: SequenceNumber
    ) throws -> Int {
        guard first <= last else { return 0 }
        try database.run(.deleteUntraced, [session, first, last])
        return database.changesCount
    }

    /// How many entries `event` has after the one at the former snapshot, and how many of them have
    /// a trace.
    func countNew(
        _ session: Int64, after former: SequenceNumber, through newest: SequenceNumber
    ) throws -> (entries: Int, points: Int) {
        let row = try database.rows(.countEvents, [session, former, newest]).first
        return (try row?.int(0) ?? 0, try row?.int(1) ?? 0)
    }

    /// Adds the new entries to the session's counts, subtracts those that were `deleted`, and then
    /// thins the trace and deletes the oldest steps, if there are too many.
    func retain(
        _ session: Int64, newest: SequenceNumber, new: (entries: Int, points: Int), deleted: Int
    ) throws {
        var counts = try reading.entryCounts(session)
        counts.points += new.points
        let thinned = try thin(session, points: counts.points, newest: newest)
        counts.points -= thinned
        counts.entries += new.entries - deleted - thinned
        try database.run(.updateEntryCounts, binding: counts.row.bound)
        if let step = try database.integer(.newestStep, [session]) {
            try database.run(.deleteSteps, [session, Int(step) - tracePointsMax])
        }
    }

    /// Deletes the oldest idempotency keys of the session that one was just inserted for, if it has
    /// too many. Looks with every 64th row.
    func forgetOldKeys(like record: IdempotencyRecord) throws {
        guard database.lastInsertedRowID.isMultiple(of: Int64(KeptPerSession.interval)),
            let prefix = KeptPerSession.prefix(of: record.scope)
        else { return }
        // "0" comes after the slash that ends the prefix.
        let end = String(prefix.dropLast()) + "0"
        try database.run(.deleteOldKeys, [prefix, end, keptPerSession.idempotencyKeysMax])
    }

    /// Deletes the oldest messages of the session that have ended, if there are too many. Looks
    /// with every 64th row, the one that was just inserted.
    func forgetEndedDeliveries(of session: Int64) throws {
        guard database.lastInsertedRowID.isMultiple(of: Int64(KeptPerSession.interval)) else {
            return
        }
        try database.run(
            .deleteEndedDeliveries, [session, keptPerSession.deliveriesMax])
    }

    func subtractEntries(_ deleted: Int, of session: Int64) throws {
        guard deleted > 0 else { return }
        var counts = try reading.entryCounts(session)
        counts.entries -= deleted
        try database.run(.updateEntryCounts, binding: counts.row.bound)
    }

    /// Returns how many points were deleted.
    private func thin(
        _ session: Int64, points: Int, newest: SequenceNumber
    ) throws -> Int {
        guard points > tracePointsMax else { return 0 }
        let replayed = try reading.replayed(session)
        var left = points
        while left > tracePointsMax {
            let inRows: [SequenceNumber] = try database.rows(.oldestPoints, [session, left / 2])
                .map { try $0.int(0) }
            let batches = try reading.traceBatches(session, from: 0, count: left / 2)
            let oldest = (inRows + batches.flatMap { $0.entries.map(\.sequence) }).sorted()
            let surplus = Set(
                TraceThinning.surplus(of: Array(oldest.prefix(left / 2))) { point in
                    point == newest || replayed.contains { $0.contains(point) }
                })
            if surplus.isEmpty { break }
            for point in inRows where surplus.contains(point) {
                try database.run(.deleteEvent, [session, point])
            }
            for batch in batches { try remove(surplus, from: batch, of: session) }
            left -= surplus.count
        }
        return points - left
    }
}

extension ReadTransaction {
    /// The ranges of entries that are replayed: by restoring a checkpoint, one range for each
    /// stretch between snapshots, and by loading, those after the newest snapshot.
    func replayed(_ session: Int64) throws -> [Range<SequenceNumber>] {
        let snapshots: [SequenceNumber] = try database.rows(.snapshotSequences, [session])
            .map { try $0.int(0) }
        var stretches: [Range<SequenceNumber>] = []
        for (snapshot, next) in zip(snapshots, snapshots.dropFirst()) {
            let pinned = try database.integer(.newestPinnedSequence, [session, snapshot, next])
            if let pinned { stretches.append(snapshot + 1..<Int(pinned) + 1) }
        }
        if let newest = snapshots.last { stretches.append(newest + 1..<Int.max) }
        return stretches
    }
}

extension ReadTransaction {
    /// The session's bytes on the disk: see `Store.diskBytes`. Reads the length of each vector that
    /// the session names and of each payload that it keeps.
    func diskBytes(_ session: Int64, logged: [JournalEntry]) throws -> Int {
        var blobs: Set<Int64> = []
        var newestSnapshot = 0
        var bytes = RowBytes.session
        for row in try database.rows(.snapshots, [session]) {
            let snapshot = try SnapshotRow(row)
            newestSnapshot = snapshot.sequence
            blobs.insert(snapshot.scalars)
            for item in snapshot.vectors.items { blobs.insert(item.id) }
        }
        for blob in blobs {
            bytes += Int(try database.integer(.blobLength, [blob]) ?? 0)
        }
        for stretch in try replayed(session) {
            bytes += Int(
                try database.integer(
                    .payloadBytes, [session, stretch.lowerBound, stretch.upperBound]) ?? 0)
        }
        let counted = try entryCounts(session).entries
        let newest = Int(try database.integer(.newestSequence, [session]) ?? 0)
        bytes += (counted + newest - newestSnapshot) * RowBytes.entry
        for entry in try logged.following(newest) { bytes += entry.payload.count + RowBytes.entry }
        if let newest = try database.integer(.newestStep, [session]),
            let oldest = try database.integer(.oldestStep, [session])
        {
            bytes += Int(newest - oldest + 1) * RowBytes.step
        }
        let checkpoints = Int(try database.integer(.countCheckpoints, [session]) ?? 0)
        return bytes + checkpoints * RowBytes.checkpoint
    }
}
