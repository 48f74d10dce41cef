internal import Synchronization

extension SessionService {
    /// Asks and tells, each by itself as if it had come alone; what went wrong with one is its own
    /// result. Those of one session happen in their order, those of different sessions at once, so
    /// that they share what a commit costs. Results are in the order of the items.
    public func evaluate(
        _ items: [EvaluationItem]
    ) async -> [Result<Outcome<Turn>, SessionError>] {
        let room = ResponseBudget(numbers: limits.batchNumbersMax)
        let bySession = Dictionary(grouping: items.indices) { items[$0].session }
        var results = [Result<Outcome<Turn>, SessionError>?](repeating: nil, count: items.count)
        await withTaskGroup(of: [(Int, Result<Outcome<Turn>, SessionError>)].self) { group in
            for indices in bySession.values {
                group.addTask {
                    var results: [(Int, Result<Outcome<Turn>, SessionError>)] = []
                    for index in indices {
                        results.append((index, await self.result(of: items[index], room)))
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
        of item: EvaluationItem, _ room: ResponseBudget
    ) async -> Result<Outcome<Turn>, SessionError> {
        do throws(SessionError) {
            guard let id = SessionID(item.session) else {
                throw .notFound(.session, id: String(item.session.prefix(64)))
            }
            // Before anything is changed: the answer to a change must be given.
            let now = try await turn(id)
            guard room.take(now.x.count) else {
                throw .invalid([
                    FieldError(
                        field: "session",
                        reason: "has \(now.x.count) parameters, and the points of one batch may "
                            + "have \(limits.batchNumbersMax) numbers together: call it alone")
                ])
            }
            guard let told = item.told else { return .success(Outcome(now)) }
            return .success(try await tell(id, evaluation: told.number, told.request))
        } catch {
            return .failure(error)
        }
    }
}

/// Numbers that the answers to one batch may still have.
private final class ResponseBudget: Sendable {
    private let left: Atomic<Int>

    init(numbers: Int) { left = Atomic(numbers) }

    func take(_ count: Int) -> Bool {
        if left.subtract(count, ordering: .relaxed).newValue >= 0 { return true }
        left.add(count, ordering: .relaxed)
        return false
    }
}
