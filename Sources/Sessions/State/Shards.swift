internal import struct Foundation.Date

/// A part of a loss and of its gradient, in Float64 whatever the session's precision: the sum is
/// rounded once.
enum ShardResult: Equatable, Sendable {
    case evaluated(loss: Double, gradient: [Double])
    case failed(reason: String)

    static func zeros(count: Int) -> ShardResult {
        .evaluated(loss: 0, gradient: [Double](repeating: 0, count: count))
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

/// What was told of the pending evaluation so far.
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

    /// The sums in order of shard, whatever the order of arrival, so that they have the same bits.
    /// One shard that failed makes the whole fail.
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

/// A worker's claim on a shard. A hint to other workers, and nothing else: a result is taken from
/// anybody, late or not.
struct LeaseRecord: Equatable, Sendable, Codable {
    var shard: Int
    var worker: String
    var expiresAt: Date
}

/// Who works on what of the pending evaluation.
struct LeaseTable: Equatable, Sendable, Codable {
    private(set) var leases: [Int: LeaseRecord] = [:]

    mutating func add(_ lease: LeaseRecord) { leases[lease.shard] = lease }
    mutating func removeAll() { leases = [:] }

    /// The shard that `worker` should have: the one it holds, else one that nobody held, else the
    /// one whose lease ran out first; nil when all are delivered or held.
    func offer(to worker: String, of count: Int, delivered: Set<Int>, at time: Date) -> Int? {
        let open = (0..<count).filter { !delivered.contains($0) }
        if let own = open.first(where: { leases[$0]?.worker == worker }) { return own }
        if let fresh = open.first(where: { leases[$0] == nil }) { return fresh }
        let expired = open.filter { (leases[$0]?.expiresAt ?? time) <= time }
        return expired.min { (leases[$0]?.expiresAt ?? time) < (leases[$1]?.expiresAt ?? time) }
    }

    /// When a shard comes free again, if none is told before.
    func nextExpiry(delivered: Set<Int>) -> Date? {
        leases.values.filter { !delivered.contains($0.shard) }.map(\.expiresAt).min()
    }
}
