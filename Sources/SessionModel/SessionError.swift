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
        case session, step, checkpoint, evaluation, shard, group, hook, delivery
        case hookCall = "call"
    }

    /// A limit of the server that `overloaded` names.
    public enum Limit: String, Equatable, Sendable {
        /// Requests that wait for one session.
        case queuedRequests = "queued_requests"
        /// Long polls and event streams.
        case waiters
        case sessions
        case hooks
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
    /// The step that the idempotency key began was undone by a restore.
    case stepUndone(StepNumber)
    /// Evaluation `number` is told in so many shards, not as a whole.
    case evaluationInShards(EvaluationNumber, count: Int)
    /// All shards are told, or leased for so long.
    case noShardFree(EvaluationNumber, retryAfterSeconds: Int)
    /// The session waits for the answer to a hook's call, until a default applies.
    case awaitingHook(HookCallNumber, retryAfterSeconds: Int)
    /// Call `number` of a hook was answered before, in another way.
    case alreadyAnswered(HookCallNumber)
    /// Call `number` of a hook hasn't been made.
    case hookCallNotReached(HookCallNumber)
    /// Call `number` of a hook was closed: its deadline passed, or its hook was removed.
    case hookCallClosed(HookCallNumber)
    /// A hook's call wasn't answered in time, and its default is to abort.
    case aborted(HookEvent)
    case preconditionFailed(current: EntityTag)
    /// The key was used before for another request.
    case idempotencyKeyReused(String)
    /// A limit of the server; trying again later may help.
    case overloaded(limit: Limit, maximum: Int, retryAfterSeconds: Int)
    /// There is no room in memory for the session, and those that are there are in use.
    case memoryFull(needed: Int, reserved: Int, maximum: Int, retryAfterSeconds: Int)
    /// The disk is full.
    case storageFull(String)
    /// The session's stored state is damaged, or was written by a version that isn't understood.
    case corrupt(SessionID, reason: String)
    case storageFailed(String)
    case shuttingDown
}
