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

/// Why a call on a session failed. Nothing changed, unless the case says otherwise.
public enum SessionError: Error, Equatable, Sendable {
    public enum Resource: String, Equatable, Sendable {
        case session, step, checkpoint, evaluation, shard, group, hook, delivery, ensemble
        case hookCall = "call"
    }

    /// A limit of the server that `overloaded` names.
    public enum Limit: String, Equatable, Sendable {
        /// Requests that wait for one session.
        case queuedRequests = "queued_requests"
        /// Long polls and event streams.
        case waiters
        case sessions
        /// Ensembles of a tenant, and those in memory.
        case ensembles
        case residentEnsembles = "resident_ensembles"
        case checkpoints
        case hooks
        /// Messages of the session that wait for webhooks.
        case deliveries
        /// Writes that wait for the disk, their bytes, and reads.
        case waitingWrites = "waiting_writes"
        case waitingWriteBytes = "waiting_write_bytes"
        case waitingReads = "waiting_reads"
        /// Bytes of what lists in another order than by creation are made from.
        case listingBytes = "listing_bytes"
        /// Streams of events about many sessions of a tenant.
        case feeds
    }

    /// A quota of a tenant that `quotaReached` names.
    public enum Quota: String, Equatable, Sendable {
        case sessions
        case diskBytes = "disk_bytes"
        case memoryBytes = "memory_bytes"
        case requestsInFlight = "requests_in_flight"
    }

    case notFound(Resource, id: String)
    /// Well-formed, but with values that are not allowed.
    case invalid([FieldError])
    /// Only possible between steps; `step` runs.
    case stepRunning(StepNumber)
    /// Only possible while a step runs.
    case noStepRunning
    /// The evaluation was told before, with another result.
    case alreadyTold(EvaluationNumber)
    /// The evaluation has not been asked for; `pending` has, if any.
    case evaluationNotReached(EvaluationNumber, pending: EvaluationNumber?)
    /// The evaluation was closed unanswered by a stop or a restore.
    case evaluationClosed(EvaluationNumber, pending: EvaluationNumber?)
    /// The step that the idempotency key began was undone by a restore.
    case stepUndone(StepNumber)
    /// The evaluation is told in `count` shards, not as a whole.
    case evaluationInShards(EvaluationNumber, count: Int)
    /// All shards are told or leased. The first lease ends after `retryAfterSeconds`.
    case noShardFree(EvaluationNumber, retryAfterSeconds: Int)
    /// The session waits for the answer to a hook call. Its default applies after
    /// `retryAfterSeconds`.
    case awaitingHook(HookCallNumber, retryAfterSeconds: Int)
    /// The hook call was answered before, with another answer.
    case alreadyAnswered(HookCallNumber)
    /// The hook call has not been made.
    case hookCallNotReached(HookCallNumber)
    /// The hook call was closed: its deadline passed, or its hook was removed.
    case hookCallClosed(HookCallNumber)
    /// A hook call was not answered in time, and its default is to abort.
    case aborted(HookEvent)
    case preconditionFailed(current: EntityTag)
    /// The idempotency key was used before for another request.
    case idempotencyKeyReused(String)
    /// A limit of the server is reached. A retry may succeed.
    case overloaded(limit: Limit, maximum: Int, retryAfterSeconds: Int)
    /// A quota of the tenant is reached: `used` of `maximum`, and the request needs `needed` more.
    case quotaReached(Quota, needed: Int, used: Int, maximum: Int)
    /// The session does not fit in memory beside the sessions that are in use.
    case memoryFull(needed: Int, reserved: Int, maximum: Int, retryAfterSeconds: Int)
    /// The disk is full.
    case storageFull(String)
    /// The disk has less space than is kept for results of sessions that exist.
    case reserveReached(needed: Int, available: Int, reserve: Int)
    /// The session's stored state is damaged, or was written by a version that cannot be read.
    case corrupt(SessionID, reason: String)
    case storageFailed(String)
    /// Replication takes no write, or has not confirmed one.
    case replication(ReplicationError)
    case shuttingDown
}
