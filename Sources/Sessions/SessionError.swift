/// Something wrong with one field of a request.
public struct FieldError: Equatable, Sendable {
    /// e.g. `options.lr`, `params[0].values`
    public var field: String
    public var reason: String

    public init(field: String, reason: String) {
        self.field = field
        self.reason = reason
    }
}

/// Why a call on a session was refused. Unless it says otherwise nothing changed.
public enum SessionError: Error, Equatable, Sendable {
    public enum Resource: String, Equatable, Sendable {
        case session, step, checkpoint, evaluation
    }

    case notFound(Resource, id: String)
    /// Well-formed, but with values that can't be.
    case invalid([FieldError])
    /// Only possible between steps; `step` runs.
    case stepRunning(StepNumber)
    /// Only possible while a step runs.
    case noStepRunning
    /// Evaluation `number` was told before, with another result.
    case alreadyTold(EvaluationNumber)
    /// Evaluation `number` hasn't been asked for; `pending` is, if any.
    case evaluationNotReached(EvaluationNumber, pending: EvaluationNumber?)
    /// Evaluation `number` was closed unanswered by a stop or a restore.
    case evaluationClosed(EvaluationNumber, pending: EvaluationNumber?)
    case preconditionFailed(current: EntityTag)
    /// The key was used before for another request.
    case idempotencyKeyReused(String)
    /// A limit of the server; trying again later may help.
    case overloaded(limit: String, maximum: Int, retryAfterSeconds: Int)
    /// The disk is full.
    case storageFull(String)
    /// The session's stored state is damaged, or was written by a version that isn't understood.
    case corrupt(SessionID, reason: String)
    case storageFailed(String)
    case shuttingDown
}
