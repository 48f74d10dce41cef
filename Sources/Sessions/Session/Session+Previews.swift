// What can be said of a body before it is sent: by its length, and by where the session stands.

/// The vector that a body will be.
public struct ExpectedVector: Equatable, Sendable {
    /// What is done with it.
    public enum Use: Equatable, Sendable {
        /// It is the result that the session waits for.
        case result
        /// It is a part of that, or will be refused.
        case part
        /// It is compared with what was told before.
        case repetition
        case parameters
    }

    public var dtype: DType
    /// The parameters that it has one after the other.
    public var specs: [ParameterSpec]
    public var count: Int
    public var use: Use

    init(_ turn: Turn, for use: Use) {
        dtype = turn.x.dtype
        specs = turn.specs
        count = turn.x.count
        self.use = use
    }

    private var places: TensorPlaces { TensorPlaces(specs: specs[...], dtype: dtype) }

    func placement(of array: TensorHeader) throws(TensorMismatch) -> Placement {
        switch use {
        case .result, .part, .parameters: try places.check(array)
        // Told when fewer groups had joined, or of any length: comparing it will show.
        case .repetition: try places.checkPrecision(array)
        }
        return Placement(whole: array.byteCount)
    }

    func placement(of tensors: [VectorHeader.Tensor]) throws(TensorMismatch) -> Placement {
        let heads = Dictionary(uniqueKeysWithValues: tensors.map { ($0.name, $0.head) })
        let starts = try places.starts(of: heads, isComplete: use == .parameters)
        return Placement(
            tensors.map { tensor in
                let start = (starts[tensor.name] ?? 0) * dtype.size
                return start..<start + tensor.head.byteCount
            }, of: count * dtype.size)
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
            let expected = ExpectedVector(turn, for: turn.shards == nil ? .result : .part)
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
