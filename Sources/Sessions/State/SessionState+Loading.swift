extension SessionState {
    /// The newest state of a stored session or checkpoint: its snapshot, and the tail replayed.
    init(
        _ snapshot: StoredSnapshot, tail: [JournalEntry], dtype: DType, session: SessionID
    ) throws(SessionError) {
        do {
            self = try StateCodec.state(from: snapshot, dtype: dtype)
        } catch {
            throw .corrupt(session, reason: "snapshot \(snapshot.sequence): \(error.reason)")
        }
        var ahead = tail.first.map { PayloadPrefetch($0.payload, dtype) }
        for (index, entry) in tail.enumerated() {
            var entry = entry
            if let read = ahead?.payload { entry.payload = read }
            ahead = index + 1 < tail.count ? PayloadPrefetch(tail[index + 1].payload, dtype) : nil
            do {
                try replay(entry)
            } catch {
                throw .corrupt(
                    session, reason: "journal entry \(error.sequence) \(error.reason)")
            }
        }
    }
}
