public import struct Foundation.Date

extension MemoryStore {
    public func deliveries(
        _ id: SessionID, hook: String, pageSize: Int, after: PageToken?
    ) throws(StoreError) -> Page<DeliveryRecord> {
        try checkOpen()
        _ = try session(id)
        let below = after?.below ?? .max
        let matching = deliveries.reversed().lazy.filter {
            $0.number < below && $0.record.session == id && $0.record.hook == hook
        }
        return Page(matching.map { ($0.number, $0.record) }, size: pageSize)
    }

    public func delivery(
        _ id: SessionID, id delivery: DeliveryID
    ) throws(StoreError) -> DeliveryRecord {
        try checkOpen()
        let found = deliveries.first { $0.record.session == id && $0.record.id == delivery }
        guard let found else { throw .missing }
        return found.record
    }

    public func dueDeliveries(
        at date: Date, limit: Int, skipping skipped: Int
    ) throws(StoreError) -> [DeliveryRecord] {
        try checkOpen()
        let due = deliveries.map(\.record).filter { ($0.nextAttemptAt ?? .distantFuture) <= date }
        let ordered = due.sorted {
            ($0.nextAttemptAt ?? .distantFuture) < ($1.nextAttemptAt ?? .distantFuture)
        }
        return Array(ordered.dropFirst(skipped).prefix(limit))
    }

    public func pendingDeliveryCount() throws(StoreError) -> Int {
        try checkOpen()
        return deliveries.count { $0.record.nextAttemptAt != nil }
    }

    public func pendingDeliveryCount(of id: SessionID) throws(StoreError) -> Int {
        try checkOpen()
        _ = try session(id)
        return deliveries.count { $0.record.session == id && $0.record.nextAttemptAt != nil }
    }

    public func update(_ delivery: DeliveryRecord) throws(StoreError) {
        try beginWrite()
        guard let index = deliveries.firstIndex(where: { $0.record.id == delivery.id }) else {
            return
        }
        deliveries[index].record = delivery
    }

    public func expireDeliveries(before date: Date) throws(StoreError) {
        try beginWrite()
        deliveries.removeAll {
            $0.record.status != .pending && ($0.record.lastAttemptAt ?? $0.record.createdAt) < date
        }
    }
}
