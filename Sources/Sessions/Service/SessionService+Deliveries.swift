// Messages to the webhooks of a session.

extension SessionService {
    /// The messages of one hook, newest first.
    public func deliveries(
        _ id: SessionID, hook: String, pageSize: Int? = nil, after: PageToken? = nil
    ) async throws(SessionError) -> Page<DeliveryRecord> {
        let size = try checkedPageSize(pageSize)
        let after = try await opened(after)
        let isRegistered = try await withSession(id) { try await $0.isRegistered(hook) }
        let page = try await read(id) { store throws(StoreError) in
            try await store.deliveries(id, hook: hook, pageSize: size, after: after)
        }
        // Messages of a hook that was removed can still be listed.
        guard isRegistered || !page.items.isEmpty else { throw .notFound(.hook, id: hook) }
        return try await sealed(page)
    }

    /// Tries a message again soon, even if it was delivered or given up.
    public func redeliver(
        _ id: SessionID, hook: String, delivery: DeliveryID
    ) async throws(SessionError) -> DeliveryRecord {
        do {
            var record = try await store.delivery(id, id: delivery)
            guard record.hook == hook else { throw StoreError.missing }
            record.status = .pending
            record.attempts = 0
            record.nextAttemptAt = now()
            try await store.update(record)
            hooking.wake()
            return record
        } catch StoreError.missing {
            throw .notFound(.delivery, id: delivery)
        } catch let error as StoreError {
            throw SessionError(error, session: id)
        } catch {
            throw .storageFailed("\(error)")
        }
    }
}
