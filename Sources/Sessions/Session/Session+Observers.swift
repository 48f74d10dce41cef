// Callers that wait for a session or watch it, and its eviction.

extension Session {
    /// Returns when a step runs, when the session is evicted, or when the task is cancelled.
    func waitForStep() async {
        if turn.phase != .idle || isRetired || Task.isCancelled { return }
        let waiter = nextWaiter
        nextWaiter += 1
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                if Task.isCancelled {
                    continuation.resume()
                } else {
                    turnWaiters[waiter] = continuation
                }
            }
        } onCancel: {
            Task { await self.cancelWaiter(waiter) }
        }
    }

    private func cancelWaiter(_ waiter: Int) {
        turnWaiters.removeValue(forKey: waiter)?.resume()
    }

    func wakeTurnWaiters() {
        let waiters = turnWaiters
        turnWaiters = [:]
        for waiter in waiters.values { waiter.resume() }
    }

    /// A stream of the events from now on. Up to `limit` events are buffered for a slow reader,
    /// whose stream ends beyond that.
    func subscribe(
        limit: Int, heartbeatSeconds: Double
    ) throws(CallError) -> AsyncStream<SessionEvent> {
        guard !isRetired else { throw .retired }
        let subscriber = nextWaiter
        nextWaiter += 1
        let (stream, continuation) = AsyncStream.subscription(
            limit: limit, heartbeat: SessionEvent.heartbeat, seconds: heartbeatSeconds
        ) {
            Task { await self.unsubscribe(subscriber) }
        }
        subscribers[subscriber] = continuation
        // One that comes later is told too.
        if let warnedOfExpiry, warnedOfExpiry == record.expiry(unchangedSince: updatedAt) {
            continuation.yield(.expiring(warnedOfExpiry))
        }
        return stream
    }

    private func unsubscribe(_ subscriber: Int) {
        subscribers.removeValue(forKey: subscriber)
    }

    /// Retires the session unless it is in use; a forced eviction does so in any case, once the
    /// changes under way have been committed. A snapshot saves the next load the replay. A call
    /// during another eviction waits for that: otherwise its caller, who needs the memory, would
    /// take the session for one in use.
    /// - Returns: Whether the session is retired.
    func evict(isForced: Bool) async -> Bool {
        guard isForced || isBeingEvicted || !isInUse else { return false }
        isBeingEvicted = true
        defer { isBeingEvicted = false }
        _ = try? await exclusively(isLimited: false) { () async throws(SessionError) in
            if journal.entries > 0 {
                var batch = Batch()
                batch.snapshot = StateCodec.draft(of: state)
                try await commit(batch)
            }
            retire()
        }
        return isRetired
    }

    /// Makes every later call fail with `CallError.retired`, and ends all waits.
    func retire() {
        isRetired = true
        hookTimer?.cancel()
        hookTimer = nil
        endHookedWaits(with: nil)
        wakeTurnWaiters()
        let ended = subscribers
        subscribers = [:]
        for subscriber in ended.values { subscriber.finish() }
    }
}
