import SessionModel

/// The requests that wait for the committer: entries for the log, and parts of transactions. A
/// value under the committer's lock, together with the state of those who serve it.
struct CommitQueue {
    private var logRequests: [LogRequest] = []
    private var transactionRequests: [any TransactionRequest] = []
    private var bytes = 0
    /// Whether the writer's queue is draining this one, or has been asked to.
    var isDraining = false
    var isClosed = false
    /// The term of the store that was promoted instead of this one: nothing is taken any more.
    var fencedTerm: Int?
    /// Decides which thread appends the entries to the log.
    var leader = GroupCommitLeader()

    var entryCount: Int { logRequests.count }

    /// Whether nothing waits and nothing is being written.
    var isIdle: Bool {
        logRequests.isEmpty && transactionRequests.isEmpty && !isDraining && !leader.hasLeader
            && !leader.needsWriter
    }

    /// Why a request of so many bytes should not be taken: the store is closed, or too much waits.
    func refusal(ofBytes new: Int, _ limits: SQLiteStoreLimits) -> StoreError? {
        if isClosed { return .closed }
        if let fencedTerm { return .fenced(term: fencedTerm) }
        let count = logRequests.count + transactionRequests.count
        if count == 0 { return nil }
        if count >= limits.waitingWritesMax {
            return .overloaded(.writes, maximum: limits.waitingWritesMax)
        }
        if bytes + new > limits.waitingBytesMax {
            return .overloaded(.writtenBytes, maximum: limits.waitingBytesMax)
        }
        return nil
    }

    mutating func append(_ request: LogRequest) {
        bytes += request.record.count
        logRequests.append(request)
    }

    mutating func append(_ request: any TransactionRequest) {
        bytes += request.bytes
        transactionRequests.append(request)
    }

    /// The next entries, as many as one frame may have.
    mutating func takeEntries(_ limits: SQLiteStoreLimits) -> [LogRequest] {
        Self.take(from: &logRequests, &bytes, limits) { $0.record.count }
    }

    /// The next requests, as many as one transaction may have.
    mutating func takeTransactionGroup(_ limits: SQLiteStoreLimits) -> [any TransactionRequest] {
        Self.take(from: &transactionRequests, &bytes, limits) { $0.bytes }
    }

    /// Returns entries to the front of the queue.
    mutating func putBack(_ entries: [LogRequest]) {
        logRequests.insert(contentsOf: entries, at: 0)
        bytes += entries.reduce(0) { $0 + $1.record.count }
    }

    private static func take<Request>(
        from queue: inout [Request], _ bytes: inout Int, _ limits: SQLiteStoreLimits,
        _ size: (Request) -> Int
    ) -> [Request] {
        var count = 0
        var taken = 0
        for request in queue.prefix(limits.groupWritesMax) {
            guard count == 0 || taken + size(request) <= limits.groupBytesMax else { break }
            count += 1
            taken += size(request)
        }
        bytes -= taken
        if count == queue.count {
            defer { queue = [] }
            return queue
        }
        defer { queue.removeFirst(count) }
        return Array(queue.prefix(count))
    }
}
