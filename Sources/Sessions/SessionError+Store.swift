extension SessionError {
    init(_ error: StoreError, session: SessionID) {
        switch error {
        case .missing: self = .notFound(.session, id: session.rawValue)
        case .duplicateKey(let record): self = .idempotencyKeyReused(record.key)
        case .full(let detail): self = .storageFull(detail)
        case .corrupt(let detail), .incompatible(let detail):
            self = .corrupt(session, reason: detail)
        case .closed: self = .shuttingDown
        case .exists, .outOfOrder: self = .storageFailed("\(error)")
        case .failed(let detail): self = .storageFailed(detail)
        }
    }
}

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
        var ahead = tail.first.map { PayloadAhead($0.payload, dtype) }
        for (index, entry) in tail.enumerated() {
            var entry = entry
            if let read = ahead?.payload { entry.payload = read }
            ahead = index + 1 < tail.count ? PayloadAhead(tail[index + 1].payload, dtype) : nil
            do {
                try replay(entry)
            } catch {
                throw .corrupt(
                    session, reason: "journal entry \(error.sequence) \(error.reason)")
            }
        }
    }
}
