internal import struct Foundation.Date

// Repeated POSTs.

extension Session {
    /// What a key was used for before, in this scope; nil if it is new.
    func earlier(
        _ key: IdempotencyKey?, scope: String
    ) async throws(SessionError) -> IdempotencyRecord? {
        guard let key else { return nil }
        let found = try await read { store throws(StoreError) in
            try await store.idempotencyRecord(scope: "\(id)/\(scope)", key: key.key)
        }
        if let found, found.requestDigest != key.requestDigest {
            throw .idempotencyKeyReused(key.key)
        }
        return found
    }

    func idempotencyRecord(
        _ key: IdempotencyKey?, scope: String, outcome: String, at time: Date
    ) -> IdempotencyRecord? {
        key.map {
            IdempotencyRecord(
                scope: "\(id)/\(scope)", key: $0.key, requestDigest: $0.requestDigest,
                outcome: outcome, createdAt: time)
        }
    }
}
