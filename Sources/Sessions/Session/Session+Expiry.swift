internal import struct Foundation.Date

// The end of a session that nothing has changed for long.

extension Session {
    /// Deletes the session if it has not changed since `date`, its time is over, and no checkpoint
    /// keeps it. Returns whether it did.
    func expire(unchangedSince date: Date) async throws(CallError) -> Bool {
        try await exclusively { () async throws(SessionError) in
            // The store has microseconds, and the object in memory more.
            guard updatedAt.timeIntervalSince(date) < 0.001,
                let end = record.expiry(unchangedSince: updatedAt), end <= now()
            else { return false }
            do throws(StoreError) {
                guard try await !store.hasKeptCheckpoint(id) else { return false }
                try await store.delete(id)
            } catch {
                throw SessionError(error, session: id)
            }
            tenants.deleted(id, of: tenant)
            catalog.noteDeletion(of: id, of: tenant)
            feed.publish([.deleted(id)], of: record)
            watchers.notify(id) { .deleted }
            retire()
            return true
        }
    }

    /// Tells the subscribers that the session is about to expire, once for each time that it is.
    func warnOfExpiry() {
        guard let warning = record.expiryWarning(unchangedSince: updatedAt), warning <= now(),
            let end = record.expiry(unchangedSince: updatedAt), end != warnedOfExpiry
        else { return }
        warnedOfExpiry = end
        publish([.expiring(end)])
    }
}
