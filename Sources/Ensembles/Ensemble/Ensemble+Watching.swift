internal import SessionModel
internal import Sessions

// What clients see of it.

extension Ensemble {
    /// With the best member's point, which is read from its session.
    func view() async throws(CallError) -> EnsembleView {
        try await exclusively { () async throws(SessionError) -> EnsembleView in
            var best = state.best
            if let session = best?.session { best?.x = try? await sessions.acceptedPoint(session) }
            return EnsembleView(
                record: state.record, counts: state.counts, leaseCount: state.leaseCount,
                evaluations: state.evaluations, best: best, tag: state.tag)
        }
    }

    /// All members by rank, and the entity tag. With points each member's session is loaded.
    func ranking(
        withPoints: Bool
    ) async throws(CallError) -> (members: [MemberView], tag: EntityTag) {
        let (ranking, tag) = try await exclusively {
            () async throws(SessionError) -> ([MemberView], EntityTag) in
            (state.ranking, state.tag)
        }
        guard withPoints else { return (ranking, tag) }
        return (await located(ranking), tag)
    }

    /// The members with their points. A session that can't be loaded has none.
    private func located(_ members: [MemberView]) async -> [MemberView] {
        var members = members
        await withTaskGroup(of: (Int, Vector?).self) { group in
            for (place, member) in members.enumerated() {
                if place >= Self.sessionsAtOnce, let (place, x) = await group.next() {
                    members[place].x = x
                }
                let sessions = sessions
                group.addTask { (place, try? await sessions.acceptedPoint(member.session)) }
            }
            for await (place, x) in group { members[place].x = x }
        }
        return members
    }

    func check(_ precondition: Precondition) async throws(CallError) {
        guard case .oneOf(let tags) = precondition else { return }
        try await exclusively { () async throws(SessionError) in
            guard tags.contains(state.tag.text) else {
                throw .preconditionFailed(current: state.tag)
            }
        }
    }

    /// Ends the ensemble now. One that is finished stays as it is.
    func stop() async throws(CallError) -> (view: EnsembleView, isReplay: Bool) {
        let isReplay = try await exclusively { () async throws(SessionError) -> Bool in
            if state.isFinished { return true }
            try await finish(.stopped)
            return false
        }
        return (try await view(), isReplay)
    }

    // MARK: Events

    /// A stream of the events from now on. Up to `limit` events are buffered for a slow reader,
    /// whose stream ends beyond that. It ends when the ensemble is finished, deleted or evicted.
    func subscribe(
        limit: Int, heartbeatSeconds: Double
    ) throws(CallError) -> AsyncStream<EnsembleEvent> {
        guard !isRetired else { throw .retired }
        let subscriber = nextWaiter
        nextWaiter += 1
        let (stream, continuation) = AsyncStream.subscription(
            limit: limit, heartbeat: EnsembleEvent.heartbeat, seconds: heartbeatSeconds
        ) {
            Task { await self.unsubscribe(subscriber) }
        }
        if let outcome = state.record.outcome {
            continuation.yield(.finished(outcome))
            continuation.finish()
            return stream
        }
        subscribers[subscriber] = continuation
        return stream
    }

    private func unsubscribe(_ subscriber: Int) {
        subscribers.removeValue(forKey: subscriber)
    }

    func publish(_ event: EnsembleEvent) {
        for (number, subscriber) in subscribers {
            if case .dropped = subscriber.yield(event) {
                subscriber.finish()
                subscribers[number] = nil
            }
        }
        if case .finished = event {
            for subscriber in subscribers.values { subscriber.finish() }
            subscribers = [:]
        }
    }
}
