internal import struct Foundation.Date

/// A part of a loss and of its gradient, in Float64 in every session, so that only the sum is
/// rounded.
enum ShardResult: Equatable, Sendable {
    case evaluated(loss: Double, gradient: [Double])
    case failed(reason: String)

    static func zeros(count: Int) -> ShardResult {
        .evaluated(loss: 0, gradient: [Double](repeating: 0, count: count))
    }

    /// The numbers of its gradient; nil if it failed.
    var count: Int? {
        if case .evaluated(_, let gradient) = self { gradient.count } else { nil }
    }

    var digest: Digest { .of(bytes) }

    /// A tag, then the loss and the gradient or the reason.
    var bytes: [UInt8] {
        switch self {
        case .evaluated(let loss, let gradient):
            [0] + littleEndianBytes([loss]) + littleEndianBytes(gradient)
        case .failed(let reason): [1] + Array(reason.utf8)
        }
    }

    init?(bytes: [UInt8]) {
        switch bytes.first {
        case 0 where bytes.count > 8 && bytes.count % 8 == 1:
            let numbers: [Double] = values(fromLittleEndianBytes: Array(bytes.dropFirst()))
            self = .evaluated(loss: numbers[0], gradient: Array(numbers.dropFirst()))
        case 1:
            self = .failed(reason: String(decoding: bytes.dropFirst(), as: UTF8.self))
        default:
            return nil
        }
    }
}

/// The shards of the pending evaluation that were told.
struct ShardTable: Equatable, Sendable {
    /// nil: the evaluation is told as a whole.
    var count: Int?
    private(set) var delivered: [Int: ShardResult] = [:]

    var progress: ShardProgress? {
        count.map { ShardProgress(count: $0, delivered: delivered.keys.sorted()) }
    }

    var isComplete: Bool { delivered.count == count ?? 1 }

    subscript(shard: Int) -> ShardResult? {
        get { delivered[shard] }
        set { delivered[shard] = newValue }
    }

    mutating func removeAll() { delivered = [:] }

    /// The sums, added in the order of the shards, so that they do not depend on the order of
    /// arrival. A shard that failed makes the evaluation fail.
    /// - Precondition: complete.
    func sum(as dtype: DType) -> EvaluationResult {
        var total: (loss: Double, gradient: [Double])?
        for (shard, result) in delivered.sorted(by: { $0.key < $1.key }) {
            switch result {
            case .failed(let reason):
                return .failed(reason: count == nil ? reason : "shard \(shard): \(reason)")
            case .evaluated(let loss, let gradient):
                guard var sum = total else {
                    total = (loss, gradient)
                    continue
                }
                sum.loss += loss
                for index in gradient.indices { sum.gradient[index] += gradient[index] }
                total = sum
            }
        }
        guard let total else { preconditionFailure("a sum of no shards") }
        return .evaluated(loss: total.loss, gradient: Vector(total.gradient, as: dtype))
    }
}

/// A worker's claim on a shard. It only tells other workers what to compute: a result is accepted
/// from any worker at any time.
struct LeaseRecord: Equatable, Sendable, Codable {
    var shard: Int
    var worker: String
    var expiresAt: Date
}

/// The leases of the pending evaluation's shards.
struct LeaseTable: Equatable, Sendable, Codable {
    private(set) var leases: [Int: LeaseRecord] = [:]

    mutating func add(_ lease: LeaseRecord) { leases[lease.shard] = lease }
    mutating func removeAll() { leases = [:] }

    /// The shard for `worker`: the one it holds, otherwise one that was never leased, otherwise the
    /// one whose lease ended first; nil when all are delivered or leased.
    func offer(to worker: String, of count: Int, delivered: Set<Int>, at time: Date) -> Int? {
        let open = (0..<count).filter { !delivered.contains($0) }
        if let own = open.first(where: { leases[$0]?.worker == worker }) { return own }
        if let fresh = open.first(where: { leases[$0] == nil }) { return fresh }
        let expired = open.filter { (leases[$0]?.expiresAt ?? time) <= time }
        return expired.min { (leases[$0]?.expiresAt ?? time) < (leases[$1]?.expiresAt ?? time) }
    }

    /// When the next lease ends of a shard that was not delivered.
    func nextExpiry(delivered: Set<Int>) -> Date? {
        leases.values.filter { !delivered.contains($0.shard) }.map(\.expiresAt).min()
    }
}
