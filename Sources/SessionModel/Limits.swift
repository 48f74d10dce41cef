/// All limits of sessions.
public struct Limits: Equatable, Sendable {
    /// n: the numbers of all parameters of a session.
    public var parametersMax = 250_000_000
    /// Parameter tensors a session.
    public var tensorsMax = 10_000
    /// Dimensions a parameter tensor: as many as NumPy allows.
    public var rankMax = TensorHeader.rankMax
    /// torch's `history_size`. The history's small matrices, and torch's `al`, grow with it.
    public var historySizeMax = 10_000
    /// Bytes of memory that a session may need: its vectors and a full history.
    public var sessionBytesMax = 8 << 30
    /// Free space on the disk below which nothing new is created, so that results are still stored.
    public var diskReserveBytes = 0
    public var sessionsMax = 1_000_000
    /// Sessions in memory. The least recently used are evicted first.
    public var residentSessionsMax = 2_000
    /// Bytes that all sessions in memory may need together. The least recently used are evicted
    /// first. A session that needs more is loaded when no other is in memory.
    public var residentBytesMax = 8 << 30
    /// A session that was not used for this time is evicted.
    public var idleSeconds = 300.0
    /// Members of an ensemble, and the numbers of all their starts together.
    public var ensembleMembersMax = 1_000
    public var ensembleNumbersMax = 1 << 22
    /// Ensembles of a tenant.
    public var ensemblesMax = 1_000
    /// Ensembles in memory. The least recently used that has no lease is evicted first.
    public var residentEnsemblesMax = 256
    /// Points that one request to an ensemble asks for.
    public var ensembleAskMax = 256
    /// Requests that wait for one session.
    public var queuedRequestsMax = 256
    /// Writes of all sessions that wait for the disk, the sum of their bytes, and reads.
    public var waitingWritesMax = 8_192
    public var waitingWriteBytesMax = 1 << 30
    public var waitingReadsMax = 8_192
    /// Long polls and event streams of all sessions together.
    public var waitersMax = 10_000
    public var waitSecondsMax = 30.0
    /// Asks and tells in one batch, and numbers in the points of its response.
    public var batchItemsMax = 1_024
    public var batchNumbersMax = 1 << 22
    public var nameLengthMax = 200
    public var labelsMax = 32
    public var labelLengthMax = 100
    /// Characters in the reason of an evaluation that failed.
    public var reasonLengthMax = 1_000
    /// Characters in the URL of a webhook.
    public var urlLengthMax = 2_048
    public var checkpointsMax = 1_000
    /// Points of a session's trace. A longer one is thinned out, by the store; see `TraceThinning`.
    public var tracePointsMax = 10_000
    /// Shards an evaluation.
    public var shardsMax = 1_024
    /// Parameter groups a session.
    public var groupsMax = 1_000
    /// Hooks a session.
    public var hooksMax = 64
    /// After how many seconds without a change a session is deleted that doesn't say; 0 for never.
    public var expiresAfterDefault = 0
    /// The most seconds that a session may say; 0 for any number, and never.
    public var expiresAfterMax = 0
    /// How long a step may wait for a hook.
    public var hookSecondsMax = 7 * 86_400.0
    /// How long a worker may hold a shard.
    public var leaseSecondsMax = 7 * 86_400.0
    /// How long messages to webhooks are kept after they were delivered or given up.
    public var deliverySeconds = 7 * 86_400.0
    /// Values of a JSON body beside the numbers of its vectors, and bytes of each of its strings.
    public var jsonValuesMax = 100_000
    public var jsonStringBytesMax = 1 << 20
    public var pageSizeMax = 1_000
    /// Bounds in a page of an active set.
    public var activeBoundsMax = 10_000
    public var pageSizeDefault = 50
    /// Bytes of memory that lists in another order than by creation may be made from: some 1,000 a
    /// session of the tenants that ask for them.
    public var listingBytesMax = 256 << 20
    /// The largest number of evaluations that a load replays. A snapshot is taken that often, and
    /// more often where replay takes long.
    public var snapshotIntervalEvaluations = 512
    /// How long an Idempotency-Key is remembered.
    public var idempotencySeconds = 86_400.0
    /// Keys of one session that are remembered, and digests of evaluations in shards, the newest.
    public var idempotencyKeysMax = 10_000
    /// Messages of one session that wait for webhooks, beyond which no step begins and no state
    /// dict is read or loaded; and as many that were delivered or given up are kept.
    public var deliveriesMax = 10_000

    /// Streams of events about many sessions that a tenant may have, and sessions that one of them
    /// may name.
    public var feedsMax = 64
    public var watchedSessionsMax = 100

    /// The longest time without a change by which sessions are deleted together.
    package static let inactiveSecondsMax = 1_000_000_000
    /// The longest time after which a session can expire: ten years.
    public static let expiresAfterBound = 315_360_000

    public init() {}
}
