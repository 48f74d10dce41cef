import GRDB
import SessionModel

// Snapshots, and the garbage collection that each of them triggers.
//
// A session's snapshots S1 < S2 < ... < Sn (by sequence) cut its journal into stretches. A
// checkpoint in [Si, Si+1) is restored from Si and the entries up to the checkpoint, so:
//
// - Sn is kept, and so are the payloads of all entries after it;
// - Si (i < n) is kept as long as its stretch has a checkpoint, and with it the payloads of the
//   entries up to the last of them.
//
// Of the other entries only the traces are kept, see WriteTransaction+Retention.swift.
//
// So a new snapshot affects only the stretch that it closes, and the removal of a checkpoint only
// the checkpoint's stretch: each reads one stretch, by index, however long the session is and
// however many checkpoints it has.

extension WriteTransaction {
    /// Writes a snapshot of the state after the `newest` entry and collects what it replaces.
    /// Throws `.missing` when a vector that it names isn't stored.
    /// - Parameter batched: Entries since the last snapshot that this transaction wrote to batches
    ///   of traces.
    mutating func setNewestSnapshot(
        _ snapshot: PreparedSnapshot, of session: Int64, newest: SequenceNumber, batched: Int
    ) throws -> [VectorName: VectorID] {
        let draft = snapshot.draft
        guard draft.sequence == newest else {
            throw StoreError.outOfOrder(expected: newest, got: draft.sequence)
        }
        let replaced = try reading.snapshot(session, atOrBelow: Int.max)
        var vectors = VectorList()
        var references = VectorReferences()
        for (vector, new) in zip(draft.vectors, snapshot.new) {
            switch vector.content {
            case .stored(let id):
                references.add(id)
                vectors.items.append((vector.name, id))
            case .new:
                guard let new else { preconditionFailure("vector \(vector.name) is not prepared") }
                let id = try insert(new)
                try database.run(.insertVector, binding: VectorRow(id: id, names: 1).row.bound)
                vectors.items.append((vector.name, id))
            }
        }
        let scalars = try insert(snapshot.scalars)
        let row = draft.row(session: session, scalars: scalars, vectors: vectors)
        try database.run(.insertSnapshot, binding: row.bound)
        var new = try countNew(session, after: replaced?.sequence ?? 0, through: newest)
        new.entries += batched
        new.points += batched
        var deleted = 0
        if let replaced {
            deleted = try collect(
                replaced, of: session, before: newest, through: newest, upTo: newest - 1,
                references: &references)
        }
        try apply(references)
        try retain(session, newest: newest, new: new, deleted: deleted)
        return Dictionary(uniqueKeysWithValues: vectors.items.map { ($0.name, $0.id) })
    }

    mutating func removeCheckpoint(_ number: CheckpointNumber, of session: Int64) throws {
        guard let removed = try database.integer(.deleteCheckpoint, [session, number]) else {
            throw StoreError.missing
        }
        let sequence = Int(removed)
        guard let below = try reading.snapshot(session, atOrBelow: sequence) else {
            throw StoreError.corrupt("checkpoint \(number) has no snapshot below it")
        }
        guard let next = try database.integer(.snapshotSequenceAbove, [session, below.sequence])
        else { return }
        var references = VectorReferences()
        let deleted = try collect(
            below, of: session, before: Int(next), through: sequence, upTo: sequence,
            references: &references)
        try subtractEntries(deleted, of: session)
        try apply(references)
    }

    /// Collects what no checkpoint pins of the stretch from `snapshot` to the one at `next`: the
    /// payloads up to the entry `last`, after which there are none, the entries without a trace up
    /// to `untraced`, and the snapshot itself, whose vectors are removed from `references`. Returns
    /// how many entries were deleted.
    private mutating func collect(
        _ snapshot: SnapshotRow, of session: Int64, before next: SequenceNumber,
        through last: SequenceNumber, upTo untraced: SequenceNumber,
        references: inout VectorReferences
    ) throws -> Int {
        let pinned = try database.integer(
            .newestPinnedSequence, [session, snapshot.sequence, next])
        let replayed = pinned.map { Int($0) } ?? snapshot.sequence
        try deletePayloads(session, after: replayed, through: last)
        // The snapshot replaces the entry that it was taken at.
        let own = min(snapshot.sequence, untraced)
        var deleted = try deleteUntraced(session, from: snapshot.sequence, through: own)
        deleted += try deleteUntraced(session, from: replayed + 1, through: untraced)
        guard pinned == nil else { return deleted }
        references.remove(snapshot.vectors)
        try deleteBlob(snapshot.scalars)
        try database.run(.deleteSnapshot, [snapshot.id])
        return deleted
    }

    /// Updates the vectors' reference counts, and deletes vectors that nothing names.
    mutating func apply(_ references: VectorReferences) throws {
        for (vector, change) in references.changes.sorted(by: { $0.key < $1.key }) where change != 0
        {
            guard let result = try database.rows(.vector, [vector]).first else {
                throw StoreError.missing
            }
            // A vector with a damaged count is never collected.
            guard var row = try? VectorRow(result), row.id == vector else { continue }
            row.names += change
            if row.names > 0 {
                try database.run(.updateVector, binding: row.row.bound)
            } else {
                try database.run(.deleteVector, [vector])
                try deleteBlob(vector)
            }
        }
    }
}

/// Changes of vectors' reference counts. A snapshot names nearly the same vectors as the one that
/// it replaces: changes that cancel out here cost nothing on disk.
struct VectorReferences {
    private(set) var changes: [VectorID: Int] = [:]

    mutating func add(_ vector: VectorID) { changes[vector, default: 0] += 1 }

    mutating func remove(_ vectors: VectorList) {
        for item in vectors.items { changes[item.id, default: 0] -= 1 }
    }
}
