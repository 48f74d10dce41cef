public import SessionModel
internal import Sessions

// Results from workers.

/// The outcome of one result.
public struct EnsembleAnswer: Sendable {
    /// nil if the session is no member.
    public var member: Int?
    public var session: String
    public var outcome: Result<Outcome<Turn>, SessionError>
}

extension Ensemble {
    /// Tells the results to their sessions, which commit together, then applies the rules in the
    /// order of the results. Each result succeeds or fails on its own.
    func tell(_ items: [EvaluationItem]) async throws(CallError) -> [EnsembleAnswer] {
        // Evicted objects must not be told by.
        let numbers = try await exclusively { () async throws(SessionError) -> [Int?] in
            items.map { item in
                SessionID(item.session).flatMap { state.member($0)?.number }
            }
        }
        inbox.enter()
        defer { inbox.leave() }
        let own = items.indices.filter { numbers[$0] != nil }
        let outcomes = await sessions.evaluate(own.map { items[$0] }, tenant: tenant)
        var answers = zip(items, numbers).map { item, number in
            EnsembleAnswer(
                member: number, session: item.session,
                outcome: .failure(.notFound(.session, id: String(item.session.prefix(64)))))
        }
        for (index, outcome) in zip(own, outcomes) { answers[index].outcome = outcome }
        // The results are on disk: what the rules meet with now must not hide that.
        let order = items.compactMap { SessionID($0.session) }
        try? await exclusively(takingIn: order) { () async throws(SessionError) in }
        return answers
    }
}
