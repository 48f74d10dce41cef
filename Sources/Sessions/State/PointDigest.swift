internal import Synchronization

/// The digest of a long trial point, made ahead of the answer that needs it, while the client
/// evaluates.
final class PointDigest: Sendable {
    let evaluation: EvaluationNumber
    private let state: Mutex<(point: Vector?, digest: Digest?)>

    init(of point: Vector, evaluation: EvaluationNumber) {
        self.evaluation = evaluation
        state = Mutex((point, nil))
        HeavyWork.ahead { _ = self.value }
    }

    /// Worked out by who comes first; others wait for that.
    var value: Digest {
        state.withLock { state in
            if let point = state.point {
                state.digest = .of([], point)
                // The engine may use its memory again.
                state.point = nil
            }
            guard let digest = state.digest else { preconditionFailure("a digest without a point") }
            return digest
        }
    }
}
