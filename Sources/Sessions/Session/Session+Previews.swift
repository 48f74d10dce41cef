// What can be said of a body before it is sent: by its length, and by where the session stands.

extension ExpectedVector {
    fileprivate init(_ turn: Turn, for use: Use) {
        self.init(dtype: turn.x.dtype, specs: turn.specs, count: turn.x.count, use: use)
    }
}

extension Session {
    /// A result, or a shard of one, of `bytes` octets; nil when the body has another form. An
    /// evaluation that was told before may be told again, and is compared when the body is there.
    func expectsResult(
        _ number: EvaluationNumber, bytes: Int?
    ) async throws(Refusal) -> ExpectedVector {
        do throws(SessionError) {
            guard number == turn.evaluation else {
                try checkReached(number)
                guard try await isTold(number) else {
                    throw .evaluationClosed(number, pending: turn.evaluation)
                }
                return ExpectedVector(turn, for: .repetition)
            }
            let expected = ExpectedVector(turn, for: turn.shards == nil ? .result : .shard)
            try check(bytes, expected)
            return expected
        } catch {
            throw .refused(error)
        }
    }

    /// New values for the parameters.
    func expectsParameters(bytes: Int?) throws(Refusal) -> ExpectedVector {
        let expected = ExpectedVector(turn, for: .parameters)
        do throws(SessionError) {
            try checkIdle()
            try check(bytes, expected)
        } catch {
            throw .refused(error)
        }
        return expected
    }

    private func check(_ bytes: Int?, _ expected: ExpectedVector) throws(SessionError) {
        guard let bytes else { return }
        do throws(VectorMismatch) {
            try expected.checkByteCount(bytes)
        } catch {
            throw .invalid(error.errors)
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
