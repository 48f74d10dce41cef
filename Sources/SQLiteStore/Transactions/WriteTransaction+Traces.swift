import GRDB
import SessionModel

// Batches of traces: see TraceBatch.

extension WriteTransaction {
    /// Writes the entries, in order of sequence, as batches.
    func insertTraceBatches(_ entries: [JournalEntry], session: Int64) throws {
        for start in stride(from: 0, to: entries.count, by: TraceBatch.entriesMax) {
            let part = entries[start..<min(entries.count, start + TraceBatch.entriesMax)]
            try database.run(
                .insertTraceBatch, binding: TraceBatch.row(part, session: session).bound)
        }
    }

    /// Removes the entries with these sequence numbers from a batch.
    func remove(
        _ sequences: Set<SequenceNumber>, from batch: TraceBatch, of session: Int64
    ) throws {
        let kept = batch.entries.filter { !sequences.contains($0.sequence) }
        if kept.isEmpty {
            try database.run(.deleteTraceBatch, [batch.id])
        } else if kept.count < batch.entries.count {
            let row = TraceBatch.row(kept, session: session)
            try database.run(.updateTraceBatch, binding: row.bound + [.integer(batch.id)])
        }
    }
}
