import GRDB
import SessionModel

// Snapshots, and the collection that comes with them.
//
// A session's snapshots S1 < S2 < ... < Sn (by sequence) cut its journal into stretches. A
// checkpoint in [Si, Si+1) is restored from Si and the entries up to the checkpoint, so:
//
// - Sn is kept, and so are the payloads of all entries after it;
// - Si (i < n) is kept as long as its stretch has a checkpoint, and with it the payloads of the
//   entries up to the last of them.
//
// Of the other entries only the traces stay, see WriteTransaction+Retention.swift.
//
// So a new snapshot concerns the stretch that it closes, and a removed checkpoint its own: each
// looks at one stretch, by index, however long the session and however many its checkpoints.

extension WriteTransaction {
    /// Writes a snapshot of the state after the `newest` entry and collects what it replaces.
    /// Throws `.missing` when a vector that it names isn't stored.
    /// - Parameter chaptered: Entries since the last snapshot that this transaction wrote to
    ///   chapters.
    mutating func setNewestSnapshot(
        _ snapshot: PreparedSnapshot, of session: Int64, newest: SequenceNumber, chaptered: Int
    ) throws -> [VectorName: VectorID] {
        let draft = snapshot.draft
        guard draft.sequence == newest else {
            throw StoreError.outOfOrder(expected: newest, got: draft.sequence)
        }
        let replaced = try reading.snapshot(session, atOrBelow: Int.max)
        var vectors = VectorList()
        var names = VectorNames()
        for (vector, new) in zip(draft.vectors, snapshot.new) {
            switch vector.content {
            case .stored(let id):
                names.add(id)
                vectors.items.append((vector.name, id))
            case .new:
                guard let new else { preconditionFailure("\(vector.name) was not prepared") }
                let id = try insert(new)
                try database.run(.insertVector, binding: [.integer(id), .integer(1)])
                vectors.items.append((vector.name, id))
            }
        }
        let scalars = try insert(snapshot.scalars)
        let row = SnapshotRow.sealed(draft, session: session, scalars: scalars, vectors: vectors)
        try database.run(.insertSnapshot, binding: row.values)
        var new = try countNew(session, after: replaced?.sequence ?? 0, through: newest)
        new.entries += chaptered
        new.points += chaptered
        var deleted = 0
        if let replaced {
            deleted = try collect(
                replaced, of: session, before: newest, through: newest, upTo: newest - 1,
                names: &names)
        }
        try apply(names)
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
        var names = VectorNames()
        let deleted = try collect(
            below, of: session, before: Int(next), through: sequence, upTo: sequence,
            names: &names)
        try uncount(deleted, of: session)
        try apply(names)
    }

    /// Collects what no checkpoint pins of the stretch from `snapshot` to the one at `next`: the
    /// payloads up to the entry `last`, after which there are none, the entries without a trace up
    /// to `untraced`, and the snapshot itself. What it stops naming is taken off `names`. Returns
    /// how many entries went.
    private mutating func collect(
        _ snapshot: SnapshotRow, of session: Int64, before next: SequenceNumber,
        through last: SequenceNumber, upTo untraced: SequenceNumber, names: inout VectorNames
    ) throws -> Int {
        let pinned = try database.integer(
            .newestPinnedSequence, [session, snapshot.sequence, next])
        let replayed = pinned.map { Int($0) } ?? snapshot.sequence
        try deletePayloads(session, after: replayed, through: last)
        // The snapshot stands for the entry that it was taken at.
        let own = min(snapshot.sequence, untraced)
        var deleted = try deleteUntraced(session, from: snapshot.sequence, through: own)
        deleted += try deleteUntraced(session, from: replayed + 1, through: untraced)
        guard pinned == nil else { return deleted }
        names.subtract(snapshot.vectors)
        try deleteBlob(snapshot.scalars)
        try database.run(.deleteSnapshot, [snapshot.id])
        return deleted
    }

    /// Brings the count of each vector up to date, and deletes vectors that nothing names.
    mutating func apply(_ names: VectorNames) throws {
        for (vector, change) in names.changes.sorted(by: { $0.key < $1.key }) where change != 0 {
            guard let count = try database.integer(.vectorNames, [vector]) else {
                throw StoreError.missing
            }
            let remaining = Int(count) + change
            if remaining > 0 {
                try database.run(.setVectorNames, [remaining, vector])
            } else {
                try database.run(.deleteVector, [vector])
                try deleteBlob(vector)
            }
        }
    }
}

/// How often vectors are named more, or less, than before. A snapshot that replaces another names
/// nearly the same vectors: what cancels out here costs nothing on disk.
struct VectorNames {
    private(set) var changes: [VectorID: Int] = [:]

    mutating func add(_ vector: VectorID) { changes[vector, default: 0] += 1 }

    mutating func subtract(_ vectors: VectorList) {
        for item in vectors.items { changes[item.id, default: 0] -= 1 }
    }
}
