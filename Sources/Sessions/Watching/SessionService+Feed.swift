internal import Synchronization

// One stream of events for many sessions.

extension SessionService {
    /// Events that wait for a slow reader.
    private static let buffered = 1_024

    /// What happens to the tenant's sessions from now on, until the server stops or the reader is
    /// too slow. Loads no session.
    /// - Parameter heartbeatSeconds: The interval of heartbeats among the events.
    public func events(
        of watched: WatchedSessions, tenant: String = SessionRecord.defaultTenant,
        heartbeatSeconds: Double = 15
    ) async throws(SessionError) -> AsyncStream<FeedEvent> {
        if case .these(let ids) = watched {
            guard ids.count <= limits.watchedSessionsMax else {
                throw .invalid([
                    FieldError(
                        field: "query.session",
                        reason: "comes \(ids.count) times; must come at most "
                            + "\(limits.watchedSessionsMax) times")
                ])
            }
            for id in ids { try await check(id, belongsTo: tenant) }
        }
        if resident.withLock({ $0.isShuttingDown }) { throw .shuttingDown }
        try enterWait()
        let stream = feed.subscribe(
            to: watched, of: tenant, limit: limits.feedsMax, buffering: Self.buffered,
            heartbeatSeconds: heartbeatSeconds)
        guard let stream else {
            leaveWait()
            throw .overloaded(limit: .feeds, maximum: limits.feedsMax, retryAfterSeconds: 1)
        }
        let relay = FeedRelay(stream, of: self)
        return AsyncStream { await relay.next() }
    }
}

/// Passes events on, and leaves the wait when its reader is gone.
private actor FeedRelay {
    private let service: SessionService
    private var live: AsyncStream<FeedEvent>.Iterator

    init(_ live: AsyncStream<FeedEvent>, of service: SessionService) {
        self.live = live.makeAsyncIterator()
        self.service = service
    }

    deinit { service.leaveWait() }

    func next() async -> FeedEvent? {
        var iterator = live
        let event = await iterator.next(isolation: self)
        live = iterator
        return event
    }
}
