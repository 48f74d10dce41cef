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
        case .inUse(let detail), .failed(let detail): self = .storageFailed(detail)
        }
    }
}
