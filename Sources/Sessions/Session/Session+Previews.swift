// What is known of a body before it is sent, from its length and the session's position.

extension ExpectedVector {
    fileprivate init(_ turn: Turn, for use: Use) {
        self.init(dtype: turn.x.dtype, specs: turn.specs, count: turn.x.count, use: use)
    }
}

extension Session {
    /// The vector that a result of this evaluation, or a shard of one, must have. Throws what
    /// telling would, as far as that can be known without the body. An evaluation that was told
    /// before may be told again: it is compared when the body has arrived.
    /// - Parameter bytes: The length of a body of bare numbers; nil for other forms.
    public func expectedResult(
        of number: EvaluationNumber, bytes: Int?, precondition: Precondition = .none
    ) async throws(CallError) -> ExpectedVector {
        do throws(SessionError) {
            guard number == turn.evaluation else {
                _ = try await formerEntry(number)
                return ExpectedVector(turn, for: .repetition)
            }
            try check(precondition)
            let expected = ExpectedVector(turn, for: turn.shards == nil ? .result : .shard)
            try check(bytes, expected)
            return expected
        } catch {
            throw .failed(error)
        }
    }

    /// The vector that new values for the parameters must have. Throws what setting them would, as
    /// far as that can be known without the body.
    public func expectedParameters(
        bytes: Int?, precondition: Precondition = .none
    ) throws(CallError) -> ExpectedVector {
        let expected = ExpectedVector(turn, for: .parameters)
        do throws(SessionError) {
            try check(precondition)
            try checkIdle()
            try check(bytes, expected)
        } catch {
            throw .failed(error)
        }
        return expected
    }

    /// Throws what loading a state dict would, as far as that can be known without the body.
    public func checkStateDictExpected(precondition: Precondition = .none) throws(CallError) {
        do throws(SessionError) {
            try check(precondition)
            try checkIdle()
        } catch {
            throw .failed(error)
        }
    }

    private func check(_ bytes: Int?, _ expected: ExpectedVector) throws(SessionError) {
        guard let bytes else { return }
        do throws(VectorMismatch) {
            try expected.checkByteCount(bytes)
        } catch {
            throw .invalid(error.errors)
        }
    }
}
