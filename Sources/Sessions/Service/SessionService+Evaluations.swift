internal import Synchronization
internal import Telemetry

// Asking and telling.

extension SessionService {
    /// The session's turn. With `waitSeconds`, the call waits while the session is idle, until a
    /// step begins or the time is over.
    public func turn(
        _ id: SessionID, waitSeconds: Double? = nil
    ) async throws(SessionError) -> Turn {
        let first = try await withSession(id) { await $0.turn }
        guard let waitSeconds, waitSeconds > 0, first.phase == .idle else { return first }
        try enterWait()
        defer { leaveWait() }
        let deadline = ContinuousClock.now + .seconds(min(waitSeconds, limits.waitSecondsMax))
        var turn = first
        while turn.phase == .idle, ContinuousClock.now < deadline, !Task.isCancelled {
            turn = try await withSession(id) { session in
                await withTaskGroup(of: Void.self) { group in
                    group.addTask { await session.waitForStep() }
                    group.addTask { try? await Task.sleep(until: deadline) }
                    await group.next()
                    group.cancelAll()
                }
                return await session.turn
            }
        }
        return turn
    }

    /// Tells the result of the pending evaluation. Durable when it returns, and applied exactly
    /// once, however often it is called.
    public func tell(
        _ id: SessionID, evaluation number: EvaluationNumber, _ request: TellRequest,
        precondition: Precondition = .none
    ) async throws(SessionError) -> Outcome<Turn> {
        let told = try await withSession(id) {
            try await $0.tell(number, request, precondition: precondition)
        }
        let outcome = told.outcome
        (outcome.isReplay ? metrics.replays : metrics.tells).increment()
        return outcome
    }

    /// Tells one shard of the pending evaluation. Durable when it returns. The last missing shard
    /// completes the evaluation.
    public func tellShard(
        _ id: SessionID, evaluation number: EvaluationNumber, shard: Int, _ request: TellRequest,
        precondition: Precondition = .none
    ) async throws(SessionError) -> Outcome<Turn> {
        let outcome = try await withSession(id) {
            try await $0.tellShard(shard, of: number, request, precondition: precondition)
        }
        if outcome.isReplay { metrics.replays.increment() }
        if !outcome.isReplay, outcome.value.evaluation != number { metrics.tells.increment() }
        return outcome
    }

    /// Asks and tells for many sessions. Each item succeeds or fails on its own. Items of one
    /// session are processed in order, those of different sessions concurrently, so that they share
    /// commits. Results are in the order of the items.
    public func evaluate(
        _ items: [EvaluationItem], tenant: String = SessionRecord.defaultTenant
    ) async -> [Result<Outcome<Turn>, SessionError>] {
        let budget = ResponseBudget(numbers: limits.batchNumbersMax)
        let bySession = Dictionary(grouping: items.indices) { items[$0].session }
        var results = [Result<Outcome<Turn>, SessionError>?](repeating: nil, count: items.count)
        await withTaskGroup(of: [(Int, Result<Outcome<Turn>, SessionError>)].self) { group in
            for indices in bySession.values {
                group.addTask {
                    var results: [(Int, Result<Outcome<Turn>, SessionError>)] = []
                    for index in indices {
                        results.append((index, await self.result(of: items[index], tenant, budget)))
                    }
                    return results
                }
            }
            for await part in group {
                for (index, result) in part { results[index] = result }
            }
        }
        return results.compactMap(\.self)
    }

    private func result(
        of item: EvaluationItem, _ tenant: String, _ budget: ResponseBudget
    ) async -> Result<Outcome<Turn>, SessionError> {
        do throws(SessionError) {
            guard let id = SessionID(item.session) else {
                throw .notFound(.session, id: String(item.session.prefix(64)))
            }
            try await check(id, belongsTo: tenant)
            // Checked before anything is changed: a change must be answered.
            let now = try await turn(id)
            guard budget.take(now.x.count) else {
                throw .invalid([
                    FieldError(
                        field: "session",
                        reason: "has \(now.x.count) parameters, and the points of one batch may "
                            + "have \(limits.batchNumbersMax) numbers together: call it alone")
                ])
            }
            guard let told = item.told else { return .success(Outcome(now)) }
            return .success(
                try await toldWithinQuota(id, tenant, evaluation: told.number, told.request))
        } catch {
            return .failure(error)
        }
    }

    private func toldWithinQuota(
        _ id: SessionID, _ tenant: String, evaluation number: EvaluationNumber,
        _ request: TellRequest
    ) async throws(SessionError) -> Outcome<Turn> {
        do {
            return try await withinDiskQuota(of: tenant, id) {
                try await tell(id, evaluation: number, request)
            }
        } catch let error as SessionError {
            throw error
        } catch {
            throw .storageFailed("\(error)")
        }
    }
}

/// How many numbers the answers to one batch may still have.
private final class ResponseBudget: Sendable {
    private let left: Atomic<Int>

    init(numbers: Int) { left = Atomic(numbers) }

    func take(_ count: Int) -> Bool {
        if left.subtract(count, ordering: .relaxed).newValue >= 0 { return true }
        left.add(count, ordering: .relaxed)
        return false
    }
}
