public import struct Foundation.Date

/// The progress of an evaluation whose loss and gradient are a sum over workers or micro-batches.
public struct ShardProgress: Equatable, Sendable {
    /// The number of shards. They are numbered from 0.
    public var count: Int
    /// The numbers of those that were told, ascending.
    public var delivered: [Int]

    package init(count: Int, delivered: [Int]) {
        self.count = count
        self.delivered = delivered
    }
}

/// One shard of the pending evaluation, assigned to one worker for some time.
public struct Lease: Equatable, Sendable {
    public var session: SessionID
    public var evaluation: EvaluationNumber
    public var shard: Int
    public var shardCount: Int
    public var worker: String
    public var expiresAt: Date
    public var x: Vector

    package init(
        session: SessionID, evaluation: EvaluationNumber, shard: Int, shardCount: Int,
        worker: String, expiresAt: Date, x: Vector
    ) {
        self.session = session
        self.evaluation = evaluation
        self.shard = shard
        self.shardCount = shardCount
        self.worker = worker
        self.expiresAt = expiresAt
        self.x = x
    }
}
