/// All limits of sessions.
public struct Limits: Equatable, Sendable {
    /// n: the numbers of all parameters of a session.
    public var parametersMax = 250_000_000
    /// Parameter tensors a session.
    public var tensorsMax = 10_000
    /// Bytes of memory that a session may need: its vectors and a full history.
    public var sessionBytesMax = 8 << 30
    public var sessionsMax = 1_000_000
    /// Sessions in memory. The least recently used are evicted first.
    public var residentSessionsMax = 2_000
    /// Bytes that all sessions in memory may need together. The least recently used are evicted
    /// first. A session that needs more is loaded when no other is in memory.
    public var residentBytesMax = 8 << 30
    /// A session that was not used for this time is evicted.
    public var idleSeconds = 300.0
    /// Requests that wait for one session.
    public var queuedRequestsMax = 256
    /// Long polls and event streams of all sessions together.
    public var waitersMax = 10_000
    public var waitSecondsMax = 30.0
    /// Asks and tells in one batch, and numbers in the points of its response.
    public var batchItemsMax = 1_024
    public var batchNumbersMax = 1 << 22
    public var nameLengthMax = 200
    public var labelsMax = 32
    public var labelLengthMax = 100
    public var checkpointsMax = 1_000
    /// Points of a session's trace. A longer one is thinned out, by the store; see `TraceThinning`.
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
    /// How long messages to webhooks are kept after they were delivered or given up.
    public var deliverySeconds = 7 * 86_400.0
    public var pageSizeMax = 1_000
    public var pageSizeDefault = 50
    /// The largest number of evaluations that a load replays. A snapshot is taken that often, and
    /// more often where replay takes long.
    public var snapshotIntervalEvaluations = 512
    /// How long an Idempotency-Key is remembered.
    public var idempotencySeconds = 86_400.0

    public init() {}
}
