/// Every limit of the sessions, in one place.
public struct Limits: Equatable, Sendable {
    /// n: numbers in all parameters of a session together.
    public var parametersMax = 250_000_000
    /// Parameter tensors a session.
    public var tensorsMax = 10_000
    /// Bytes that a session may come to need in memory: its vectors and a full history.
    public var sessionBytesMax = 8 << 30
    public var sessionsMax = 1_000_000
    /// Sessions kept in memory; the least recently used leave first.
    public var residentSessionsMax = 2_000
    /// Bytes that the sessions in memory may come to need, all together; the least recently used
    /// leave first. One that alone needs more is loaded when no other is there.
    public var residentBytesMax = 8 << 30
    /// A session that nobody used for so long leaves memory.
    public var idleSeconds = 300.0
    /// Requests that wait for one session.
    public var queuedRequestsMax = 256
    /// Long-polls and event streams on all sessions together.
    public var waitersMax = 10_000
    public var waitSecondsMax = 30.0
    /// Asks and tells in one batch, and numbers in the points that answer them.
    public var batchItemsMax = 1_024
    public var batchNumbersMax = 1 << 22
    public var nameLengthMax = 200
    public var labelsMax = 32
    public var labelLengthMax = 100
    public var checkpointsMax = 1_000
    /// Points of a session's trace that are kept; with more it is thinned out, see
    /// `TraceThinning`. The store holds sessions to it.
    public var tracePointsMax = 10_000
    /// Shards an evaluation.
    public var shardsMax = 1_024
    /// Parameter groups a session.
    public var groupsMax = 1_000
    /// Hooks a session.
    public var hooksMax = 64
    /// How long a step may wait for a hook.
    public var hookSecondsMax = 7 * 86_400.0
    /// How long a worker may hold a shard.
    public var leaseSecondsMax = 7 * 86_400.0
    /// How long messages to webhooks are kept when they have come to their end.
    public var deliverySeconds = 7 * 86_400.0
    public var pageSizeMax = 1_000
    public var pageSizeDefault = 50
    /// Evaluations replayed at most when a session is loaded: a snapshot is taken that often, and
    /// more often where replaying takes long.
    public var snapshotIntervalEvaluations = 512
    /// How long an Idempotency-Key is remembered.
    public var idempotencySeconds = 86_400.0

    public init() {}
}
