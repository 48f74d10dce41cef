import GRDB
import SessionModel

// What a session keeps of its past besides its state: the trace, thinned out, and its steps.
//
// An entry that nothing replays is kept for its trace only: it goes when it has none, unless it is
// the newest, which says where the session stands. All of it happens with a new snapshot or when a
// checkpoint is removed, in the same transaction, and is counted in `holding`.

extension WriteTransaction {
    /// Deletes the entries of a stretch that have no trace, and that nothing replays any more.
    /// Returns how many there were.
    func deleteUntraced(
        _ session: Int64, from first: SequenceNumber, through last: SequenceNumber
    ) throws -> Int {
        guard first <= last else { return 0 }
        try database.run(.deleteUntraced, [session, first, last])
        return database.changesCount
    }

    /// Entries in `event` after the one at the former snapshot, and how many have a trace.
    func countNew(
        _ session: Int64, after former: SequenceNumber, through newest: SequenceNumber
    ) throws -> (entries: Int, points: Int) {
        let row = try database.rows(.countEntries, [session, former, newest]).first
        return (row?[0] ?? 0, row?[1] ?? 0)
    }

    /// Counts what is new, less the entries that were `deleted`, and thins out what is then too
    /// much.
    func retain(
        _ session: Int64, newest: SequenceNumber, new: (entries: Int, points: Int), deleted: Int
    ) throws {
        guard let row = try database.rows(.holding, [session]).first else {
            throw StoreError.corrupt("a session has no count of its entries")
        }
        let entries: Int = row[0]
        let points: Int = row[1] + new.points
        let thinned = try thin(session, points: points, newest: newest)
        try database.run(
            .setHolding, [entries + new.entries - deleted - thinned, points - thinned, session])
        if let step = try database.integer(.newestStep, [session]) {
            try database.run(.deleteSteps, [session, Int(step) - tracePointsMax])
        }
    }

    func uncount(_ deleted: Int, of session: Int64) throws {
        if deleted > 0 { try database.run(.uncountEntries, [deleted, session]) }
    }

    /// Returns how many points went.
    private func thin(
        _ session: Int64, points: Int, newest: SequenceNumber
    ) throws -> Int {
        guard points > tracePointsMax else { return 0 }
        let replayed = try reading.replayed(session)
        var left = points
        while left > tracePointsMax {
            let inRows: [SequenceNumber] = try database.rows(.oldestPoints, [session, left / 2])
                .map { $0[0] }
            let chapters = try reading.chapters(session, from: 0, count: left / 2)
            let oldest = (inRows + chapters.flatMap { $0.entries.map(\.sequence) }).sorted()
            let surplus = Set(
                TraceThinning.surplus(of: Array(oldest.prefix(left / 2))) { point in
                    point == newest || replayed.contains { $0.contains(point) }
                })
            if surplus.isEmpty { break }
            for point in inRows where surplus.contains(point) {
                try database.run(.deleteEntry, [session, point])
            }
            for chapter in chapters { try remove(surplus, from: chapter, of: session) }
            left -= surplus.count
        }
        return points - left
    }
}

extension ReadTransaction {
    /// The entries that restoring checkpoints replays, by stretches between snapshots, and those
    /// after the newest snapshot.
    func replayed(_ session: Int64) throws -> [Range<SequenceNumber>] {
        let snapshots: [SequenceNumber] = try database.rows(.snapshotSequences, [session])
            .map { $0[0] }
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
    /// Bytes on the disk for the session: see `Store.diskBytes`. Costs a look at each vector that
    /// it names and at each payload that it keeps.
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
        let counted = Int(try database.integer(.holding, [session]) ?? 0)
        let newest = Int(try database.integer(.newestSequence, [session]) ?? 0)
        bytes += (counted + newest - newestSnapshot) * RowBytes.entry
        for entry in try logged.after(newest) { bytes += entry.payload.count + RowBytes.entry }
        if let newest = try database.integer(.newestStep, [session]),
            let oldest = try database.integer(.oldestStep, [session])
        {
            bytes += Int(newest - oldest + 1) * RowBytes.step
        }
        let checkpoints = Int(try database.integer(.countCheckpoints, [session]) ?? 0)
        return bytes + checkpoints * RowBytes.checkpoint
    }
}
