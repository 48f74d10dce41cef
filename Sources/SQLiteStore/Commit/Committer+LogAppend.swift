import Dispatch
import DiskLog
import GRDB
import SessionModel
import Synchronization
import Telemetry

// Appending entries to the log, on the thread that `GroupCommitLeader` chooses. A frame may be
// appended while a transaction runs.

extension Committer {
    // MARK: Event loops

    func eventLoopWoke() { queue.withLock { $0.leader.eventLoopWoke() } }

    /// Appends the entries that wait on this thread, or has another thread do it.
    func eventLoopDrained() { eventLoopDrained(willBlock: false) }

    /// The same, before the event loop blocks.
    func eventLoopWillBlock() { eventLoopDrained(willBlock: true) }

    private func eventLoopDrained(willBlock: Bool) {
        var group: [LogRequest] = []
        var action = queue.withLock { queue in
            if willBlock { queue.leader.eventLoopWillBlock() }
            let action = queue.leader.eventLoopDrained(
                entriesWaiting: queue.entryCount,
                mayLead: areSyncsQuick && queue.entryCount <= limits.eventLoopEntriesMax)
            if action == .lead { group = queue.takeEntries(limits) }
            return action
        }
        if action == .lead {
            appendOrPutBack(group)
            action = queue.withLock { queue in
                queue.leader.eventLoopAppended(entriesWaiting: queue.entryCount)
            }
        }
        if action == .startLogThread { startLogThread() }
    }

    var areSyncsQuick: Bool {
        syncNanoseconds.load(ordering: .relaxed) <= limits.eventLoopSyncMicrosecondsMax * 1000
    }

    // MARK: The log's thread

    func startLogThread() {
        logThread.async { [self] in
            while let group = nextLogGroup() { appendOrPutBack(group) }
        }
    }

    private func nextLogGroup() -> [LogRequest]? {
        queue.withLock { queue in
            let continues = queue.leader.logThreadContinues(
                entriesWaiting: queue.entryCount, isClosed: queue.isClosed)
            return continues ? queue.takeEntries(limits) : nil
        }
    }

    /// Appends the group, or leaves it to the writer. Starts the writer as well when a part of the
    /// log's checkpoint is due.
    private func appendOrPutBack(_ group: [LogRequest]) {
        let isAppended = faults.exclusively { append(group) }
        if !isAppended || schedule.withLock({ $0.isDue }) {
            queue.withLock { queue in
                if !isAppended {
                    queue.putBack(group)
                    queue.leader.writerNeeded()
                }
                startDraining(&queue)
            }
        }
        setQuietTimer()
    }

    // MARK: The writer

    /// Makes room in the log if there is none, looks up the journals' tails, and appends.
    func append(_ group: [LogRequest], on database: Database) {
        guard !group.isEmpty else { return }
        if log.withLock({ $0.isFull }), let error = beginEpoch(database) {
            for request in group { request.finish(.failure(error)) }
            return
        }
        var known = group
        // Another thread's append may fail after the lookup, and invalidate the tails.
        for _ in 0..<Self.lookupsMax {
            known = lookUpTails(of: known, on: database)
            if append(known) { return }
        }
        for request in known {
            request.finish(.failure(.failed("the write-ahead log fails again and again")))
        }
    }

    private static let lookupsMax = 8

    /// Returns the requests whose sessions exist; the others are answered.
    private func lookUpTails(of group: [LogRequest], on database: Database) -> [LogRequest] {
        let tables = ReadTransaction(
            database: database, segments: segments.withLock { $0.directory })
        return group.filter { request in
            do {
                _ = try tails.tail(of: request.logged.session, in: tables, memtable)
                return true
            } catch {
                request.finish(.failure(survivable(error)))
                return false
            }
        }
    }

    // MARK: Any thread

    /// Appends the entries in one frame, and answers their callers. Returns false, without any
    /// effect, when the log is full or a journal's tail is not cached.
    func append(_ group: [LogRequest]) -> Bool {
        if group.isEmpty { return true }
        let errors: [Int: StoreError]? = log.withLock { log in
            guard !log.isFull, var errors = tails.advance(group.map(\.logged)) else { return nil }
            let accepted =
                errors.isEmpty
                ? group : group.indices.filter { errors[$0] == nil }.map { group[$0] }
            guard !accepted.isEmpty else { return errors }
            do {
                let began = ContinuousClock.now
                metrics.began(began, after: accepted.lazy.map(\.arrivedAt))
                let position = log.position
                let appended = try log.append(
                    accepted.map(\.record),
                    preamble: recentFrames.withLock { $0.trail }?.record ?? [])
                recentFrames.withLock {
                    $0.append(accepted.map(\.logged), at: position, in: appended.range)
                }
                noteSync(ContinuousClock.now - began)
                metrics.committed(accepted.count)
                feed.publish(.log(appended))
                // Under the log's lock: `beginEpoch` reads from the memtable what the log holds.
                memtable.add(accepted.map(\.logged))
                tails.appended()
                schedule.withLock {
                    $0.appended(to: log.position, fractionFilled: log.fractionFilled)
                }
                try? faults.pass(.answer, directory)
            } catch {
                tails.failed()
                let error = survivable(error)
                for index in group.indices where errors[index] == nil { errors[index] = error }
            }
            return errors
        }
        guard let errors else { return false }
        for (index, request) in group.enumerated() {
            request.finish(errors[index].map { .failure($0) } ?? .success(()))
        }
        return true
    }

    /// A moving average over about the last eight syncs.
    private func noteSync(_ duration: Duration) {
        metrics.syncSeconds.observe(duration)
        let nanoseconds = Int(duration / .nanoseconds(1))
        let average = syncNanoseconds.load(ordering: .relaxed)
        syncNanoseconds.store(average + (nanoseconds - average) / 8, ordering: .relaxed)
    }
}
