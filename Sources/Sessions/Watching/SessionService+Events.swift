extension SessionService {
    /// The trace after evaluation `last` (nothing, if nil), then live events, until the session is
    /// deleted or evicted, the server stops, or the reader is too slow.
    ///
    /// The stream is pulled: the trace is read a page at a time, when the reader wants more. Live
    /// events wait in one buffer, the session's; a reader that lets it overflow is disconnected.
    /// - Parameter heartbeatSeconds: The interval of heartbeats among the live events.
    public func events(
        _ id: SessionID, after last: EvaluationNumber?, heartbeatSeconds: Double = 15
    ) async throws(SessionError) -> AsyncStream<SessionEvent> {
        try enterWait()
        // From here on the end of the relay leaves the wait.
        let relay: EventRelay
        do throws(SessionError) {
            // Subscribed before the trace is read, so that nothing falls in between.
            let live = try await withSession(id) {
                try await $0.subscribe(
                    limit: EventRelay.liveBufferMax, heartbeatSeconds: heartbeatSeconds)
            }
            relay = EventRelay(service: self, session: id, after: last, live: live)
        } catch {
            leaveWait()
            throw error
        }
        // The first page is read now: the reader gets what the trace had when it asked.
        try await relay.readPage()
        return AsyncStream { await relay.next() }
    }
}

/// Joins the trace and the live events of a session, without a gap or a repetition.
private actor EventRelay {
    static let liveBufferMax = 256
    private static let pageSize = 256

    private let service: SessionService
    private let session: SessionID
    /// The newest evaluation that the reader has, or does not want.
    private var newest: EvaluationNumber
    private var isReplaying: Bool
    /// Whether the trace could not be read. The stream ends rather than have a gap: its reader
    /// connects again, after the last event that it has.
    private var isBroken = false
    private var page: ArraySlice<TracePoint> = []
    private var live: AsyncStream<SessionEvent>.Iterator

    init(
        service: SessionService, session: SessionID, after last: EvaluationNumber?,
        live: AsyncStream<SessionEvent>
    ) {
        self.service = service
        self.session = session
        newest = min(last ?? 0, .max - 1)
        isReplaying = last != nil
        self.live = live.makeAsyncIterator()
    }

    deinit { service.leaveWait() }

    func readPage() async throws(SessionError) {
        guard isReplaying else { return }
        page = try await service.trace(
            session, from: newest + 1, limit: EventRelay.pageSize)[...]
        isReplaying = page.count == EventRelay.pageSize
    }

    func next() async -> SessionEvent? {
        if isBroken { return nil }
        do throws(SessionError) {
            if page.isEmpty { try await readPage() }
        } catch {
            isBroken = true
            return nil
        }
        if let point = page.popFirst() {
            newest = point.evaluation
            return .evaluation(point)
        }
        while let event = await nextLive() {
            guard case .evaluation(let point) = event else { return event }
            // An event since the subscription may have been in the trace already.
            if point.evaluation > newest {
                newest = point.evaluation
                return event
            }
        }
        return nil
    }

    private func nextLive() async -> SessionEvent? {
        var iterator = live
        let event = await iterator.next(isolation: self)
        live = iterator
        return event
    }
}
