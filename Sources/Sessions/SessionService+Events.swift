extension SessionService {
    public func trace(
        _ id: SessionID, from first: EvaluationNumber = 1, limit: Int
    ) async throws(SessionError) -> [TracePoint] {
        do {
            return try await store.trace(id, from: first, limit: limit)
        } catch {
            throw SessionError(error, session: id)
        }
    }

    /// What the trace has after evaluation `last` (nothing, if nil), then what happens, until the
    /// session is deleted, leaves memory or the server stops; a reader who is too slow is cut off.
    public func events(
        _ id: SessionID, after last: EvaluationNumber?
    ) async throws(SessionError) -> AsyncStream<SessionEvent> {
        let bufferMax = 10_000
        try enterWait()
        let live: AsyncStream<SessionEvent>
        let past: AsyncStream<SessionEvent>
        do throws(SessionError) {
            live = try await with(id) { session async throws(Session.Refusal) in
                try await session.subscribe(limit: bufferMax)
            }
            past = try await pastEvents(id, after: last)
        } catch {
            leaveWait()
            throw error
        }
        let (stream, continuation) = AsyncStream.makeStream(
            of: SessionEvent.self, bufferingPolicy: .bufferingOldest(bufferMax))
        let task = Task {
            var newest = last ?? 0
            relay: for source in [past, live] {
                for await event in source {
                    if case .evaluation(let trace) = event {
                        // The subscription began before the trace was read: both may have it.
                        if trace.evaluation <= newest { continue }
                        newest = trace.evaluation
                    }
                    if case .dropped = continuation.yield(event) { break relay }
                }
            }
            continuation.finish()
            self.leaveWait()
        }
        continuation.onTermination = { _ in task.cancel() }
        return stream
    }

    private func pastEvents(
        _ id: SessionID, after last: EvaluationNumber?
    ) async throws(SessionError) -> AsyncStream<SessionEvent> {
        let pageSize = 1_000
        var points: [TracePoint] = []
        if let last {
            var first = last + 1
            while true {
                let page = try await trace(id, from: first, limit: pageSize)
                points += page
                guard page.count == pageSize, let end = page.last else { break }
                first = end.evaluation + 1
            }
        }
        return AsyncStream { continuation in
            for point in points { continuation.yield(.evaluation(point)) }
            continuation.finish()
        }
    }
}
