import SessionModel

/// The committer's queues: what waits for the entry log, and what waits for a transaction.
struct WaitingWrites {
    private var logged: [EntryWrite] = []
    private var transacted: [any WaitingWrite] = []
    private var bytes = 0
    /// Whether the writer is at work, or will be.
    var isDraining = false
    /// Whether somebody appends to the entry log, or will.
    var isLogging = false
    var isClosed = false
    /// Threads that are awake and will see to entries before they sleep.
    var attendants = 0
    /// Whether entries need the writer.
    var needsWriter = false

    var entryCount: Int { logged.count }

    func refusal(of write: QueuedWrite, _ limits: SQLiteStoreLimits) -> StoreError? {
        if isClosed { return .closed }
        let count = logged.count + transacted.count
        let isRoom =
            count < limits.waitingWritesMax && bytes + write.bytes <= limits.waitingBytesMax
        guard count == 0 || isRoom else {
            return .failed("too many writes wait for the disk: try again later")
        }
        return nil
    }

    mutating func append(_ write: EntryWrite) {
        bytes += write.record.count
        logged.append(write)
    }

    mutating func append(_ write: any WaitingWrite) {
        bytes += write.bytes
        transacted.append(write)
    }

    /// Those that come next, as far as one frame may take them.
    mutating func takeEntries(_ limits: SQLiteStoreLimits) -> [EntryWrite] {
        // Those that are left by a writer that was needed are its own too: nobody else would come.
        defer { needsWriter = needsWriter && !logged.isEmpty }
        return Self.take(from: &logged, &bytes, limits) { $0.record.count }
    }

    /// The same for a transaction.
    mutating func takeTransacted(_ limits: SQLiteStoreLimits) -> [any WaitingWrite] {
        Self.take(from: &transacted, &bytes, limits) { $0.bytes }
    }

    /// Entries that were taken come next again, when the writer has the time.
    mutating func putBack(_ entries: [EntryWrite]) {
        logged.insert(contentsOf: entries, at: 0)
        bytes += entries.reduce(0) { $0 + $1.record.count }
        needsWriter = true
    }

    private static func take<Write>(
        from queue: inout [Write], _ bytes: inout Int, _ limits: SQLiteStoreLimits,
        _ size: (Write) -> Int
    ) -> [Write] {
        var count = 0
        var taken = 0
        for write in queue.prefix(limits.groupWritesMax) {
            guard count == 0 || taken + size(write) <= limits.groupBytesMax else { break }
            count += 1
            taken += size(write)
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
