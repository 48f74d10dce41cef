internal import Synchronization

/// The digest of a long trial point, computed in the background while the client evaluates.
final class PointDigest: Sendable {
    let evaluation: EvaluationNumber
    private let state: Mutex<(point: Vector?, digest: Digest?)>

    init(of point: Vector, evaluation: EvaluationNumber, background: BackgroundWork) {
        self.evaluation = evaluation
        state = Mutex((point, nil))
        background.start { _ = self.value }
    }

    /// Computed by the first caller, unless the background thread came before; others wait.
    var value: Digest {
        state.withLock { state in
            if let point = state.point {
                state.digest = .of([], point)
                // The engine may reuse its memory.
                state.point = nil
            }
            guard let digest = state.digest else { preconditionFailure("a digest without a point") }
            return digest
        }
    }
}
