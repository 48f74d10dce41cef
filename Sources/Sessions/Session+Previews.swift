// What can be said of a body before it is sent: by its length, and by where the session stands.

/// The vector that a body will be.
public struct ExpectedVector: Equatable, Sendable {
    public var dtype: DType
    public var count: Int
    /// Whether a result is it that counts, and not one that is compared with what was told before.
    public var isPending = false
}

extension Session {
    /// A result, or a shard of one, of `bytes` octets; nil when the body has another form. An
    /// evaluation that was told before may be told again, and is compared when the body is there.
    func expectsResult(
        _ number: EvaluationNumber, bytes: Int?
    ) async throws(Refusal) -> ExpectedVector {
        var expected = ExpectedVector(dtype: turn.x.dtype, count: turn.x.count)
        do throws(SessionError) {
            guard number == turn.evaluation else {
                try checkReached(number)
                guard try await isTold(number) else {
                    throw .evaluationClosed(number, pending: turn.evaluation)
                }
                return expected
            }
            try check(bytes, expected)
            expected.isPending = turn.shards == nil
        } catch {
            throw .refused(error)
        }
        return expected
    }

    /// New values for the parameters.
    func expectsParameters(bytes: Int?) throws(Refusal) -> ExpectedVector {
        let expected = ExpectedVector(dtype: turn.x.dtype, count: turn.x.count)
        do throws(SessionError) {
            try checkIdle()
            try check(bytes, expected)
        } catch {
            throw .refused(error)
        }
        return expected
    }

    private func check(_ bytes: Int?, _ expected: ExpectedVector) throws(SessionError) {
        if let bytes, bytes != expected.count * expected.dtype.size {
            throw wrongBody(bytes, expected.count, expected.dtype)
        }
    }

    private func isTold(_ number: EvaluationNumber) async throws(SessionError) -> Bool {
        do {
            return try await store.toldEntry(id, evaluation: number) != nil
        } catch {
            throw SessionError(error, session: id)
        }
    }
}

extension SessionService {
    /// Throws what telling would, as far as that can be known without the body.
    public func expectedResult(
        _ id: SessionID, evaluation number: EvaluationNumber, bytes: Int?
    ) async throws(SessionError) -> ExpectedVector {
        try await with(id) { session async throws(Session.Refusal) in
            try await session.expectsResult(number, bytes: bytes)
        }
    }

    /// Throws what setting the parameters would, as far as that can be known without the body.
    public func expectedParameters(
        _ id: SessionID, bytes: Int?
    ) async throws(SessionError) -> ExpectedVector {
        try await with(id) { session async throws(Session.Refusal) in
            try await session.expectsParameters(bytes: bytes)
        }
    }
}
