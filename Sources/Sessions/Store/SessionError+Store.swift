extension SessionError {
    init(_ error: StoreError, session: SessionID) {
        switch error {
        case .missing: self = .notFound(.session, id: session.rawValue)
        case .duplicateKey(let record): self = .idempotencyKeyReused(record.key)
        case .full(let detail): self = .storageFull(detail)
        case .corrupt(let detail), .incompatible(let detail):
            self = .corrupt(session, reason: detail)
        case .overloaded(let queue, let maximum):
            self = .overloaded(limit: Limit(queue), maximum: maximum, retryAfterSeconds: 1)
        case .closed: self = .shuttingDown
        case .fenced(let term): self = .replication(.fenced(term: term))
        case .exists, .outOfOrder: self = .storageFailed("\(error)")
        case .inUse(let detail), .failed(let detail): self = .storageFailed(detail)
        }
    }
}

extension SessionError {
    /// The error of a call that concerns no session.
    package init(_ error: StoreError) {
        switch error {
        case .duplicateKey(let record): self = .idempotencyKeyReused(record.key)
        case .full(let detail): self = .storageFull(detail)
        case .overloaded(let queue, let maximum):
            self = .overloaded(limit: Limit(queue), maximum: maximum, retryAfterSeconds: 1)
        case .closed: self = .shuttingDown
        case .fenced(let term): self = .replication(.fenced(term: term))
        case .missing, .exists, .outOfOrder: self = .storageFailed("\(error)")
        case .corrupt(let detail), .incompatible(let detail), .inUse(let detail),
            .failed(let detail):
            self = .storageFailed(detail)
        }
    }
}

extension SessionError.Limit {
    fileprivate init(_ queue: StoreError.Queue) {
        switch queue {
        case .writes: self = .waitingWrites
        case .writtenBytes: self = .waitingWriteBytes
        case .reads: self = .waitingReads
        }
    }
}
