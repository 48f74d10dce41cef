internal import Synchronization
internal import Telemetry

internal import struct Foundation.Date

// A walk through all stored sessions, a page at a time, beside the requests: it counts them, and
// deletes those whose time is over.

extension SessionService {
    private static let pageSize = 500
    /// Between two pages: a million sessions take some minutes, and no reader waits for them.
    private static let pauseMilliseconds = 50

    /// Counts sessions by state, finds the evaluation that has waited longest for its result, and
    /// deletes sessions that have expired, one after the other. To be called from time to time.
    public func takeCensus() async {
        var census = SessionMetrics.Census()
        var token: PageToken?
        repeat {
            let page: Page<SessionSummary>
            do {
                page = try await store.list(pageSize: Self.pageSize, after: token, label: nil)
            } catch {
                return
            }
            for summary in page.items {
                if await expire(summary) { continue }
                census.count(summary)
            }
            census.damaged += page.damaged.count
            token = page.next
            if token != nil {
                try? await Task.sleep(for: .milliseconds(Self.pauseMilliseconds))
            }
        } while token != nil && !Task.isCancelled
        metrics.publish(census)
        oldestUnanswered.withLock { $0 = census.oldestUnanswered }
        if let count = try? await store.pendingDeliveryCount() {
            metrics.pendingDeliveries.set(Double(count))
        }
    }
}

extension SessionService {
    /// Deletes the session if its time is over, or warns who watches it. One that can't be deleted
    /// now is seen again in the next census.
    private func expire(_ summary: SessionSummary) async -> Bool {
        let (id, since) = (summary.record.id, summary.updatedAt)
        guard let warning = summary.record.expiryWarning(unchangedSince: since),
            let end = summary.record.expiry(unchangedSince: since), warning <= now()
        else { return false }
        guard end <= now() else {
            // A session that someone watches is in memory.
            await resident.withLock { $0.slots[id]?.session }?.warnOfExpiry()
            return false
        }
        guard (try? await store.hasKeptCheckpoint(id)) == false else { return false }
        let isExpired = try? await withSession(id) { session in
            let isExpired = try await session.expire(unchangedSince: since)
            if isExpired { forget(id, session) }
            return isExpired
        }
        if isExpired == true { metrics.expired.increment() }
        return isExpired == true
    }
}

extension SessionMetrics.Census {
    fileprivate mutating func count(_ summary: SessionSummary) {
        let phase = summary.status.phase
        counts[phase, default: 0] += 1
        guard phase == .evaluating else { return }
        oldestUnanswered = min(oldestUnanswered ?? summary.updatedAt, summary.updatedAt)
    }
}
