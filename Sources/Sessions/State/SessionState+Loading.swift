extension SessionState {
    /// The newest state of a stored session or checkpoint: its snapshot, and the tail replayed.
    init(
        _ snapshot: StoredSnapshot, tail: [JournalEntry], dtype: DType, session: SessionID,
        background: BackgroundWork
    ) throws(SessionError) {
        do {
            self = try StateCodec.state(from: snapshot, dtype: dtype, background)
        } catch {
            throw .corrupt(session, reason: "snapshot \(snapshot.sequence): \(error.text)")
        }
        var next = tail.first.map { PayloadPrefetch($0.payload, dtype, background) }
        for (index, entry) in tail.enumerated() {
            var entry = entry
            if let read = next?.payload { entry.payload = read }
            next =
                index + 1 < tail.count
                ? PayloadPrefetch(tail[index + 1].payload, dtype, background) : nil
            do {
                try replay(entry, background)
            } catch {
                throw .corrupt(
                    session, reason: "journal entry \(error.sequence) \(error.reason)")
            }
        }
    }
}
