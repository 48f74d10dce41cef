import DiskLog
import GRDB
import SessionModel
import Synchronization

// What a standby is told of commits, and what waits until it knows of them. On the writer's queue.

extension Committer {
    /// Bytes of segments that go with the change; more are fetched by the standby.
    private static let sentBytesMax = 256 << 10

    /// Publishes what a commit, or several, have appended to SQLite's WAL.
    func publishTables(
        _ changes: SegmentChanges? = nil, _ cleanup: SegmentIndex.Cleanup = SegmentIndex.Cleanup()
    ) {
        guard feed.isActive else { return }
        do {
            guard var append = try tablesTail.withLock({ try $0.read() }) else { return }
            append.growths = try growths(changes?.segments.compactMap(\.growth) ?? [])
            append.removed = cleanup.dead
            append.holes = cleanup.punches.map {
                Extent(segment: $0.hole.segment, range: $0.range)
            }
            feed.publish(.tables(append))
        } catch {
            // The commit is durable. The standby can't have it from here.
            feed.lose("the WAL can't be read: \(StoreFailure(error, directory: directory))")
        }
    }

    private func growths(_ extents: [Extent]) throws -> [ReplicatedChange.SegmentGrowth] {
        let areSent = extents.reduce(0) { $0 + $1.range.count } <= Self.sentBytesMax
        let segments = segments.withLock { $0.directory }
        return try extents.map { extent in
            guard areSent else { return ReplicatedChange.SegmentGrowth(extent: extent, bytes: []) }
            let file = try DiskFile(segments.path(of: extent.segment), for: .reading)
            let bytes = try StoreBackup.bytes(
                of: file, at: extent.range.lowerBound, count: extent.range.count)
            return ReplicatedChange.SegmentGrowth(extent: extent, bytes: bytes)
        }
    }

    /// Removes segments and punches holes, when the standby needs the bytes no more.
    func cleanUp(_ cleanup: SegmentIndex.Cleanup, in directory: SegmentDirectory) {
        guard !cleanup.dead.isEmpty || !cleanup.punches.isEmpty else { return }
        guard feed.isActive else {
            for segment in cleanup.dead { directory.remove(segment) }
            for punch in cleanup.punches { puncher.add(punch) }
            return
        }
        for segment in cleanup.dead {
            feed.afterAcknowledgement(bytes: directory.allocatedBytes(of: segment)) {
                directory.remove(segment)
            }
        }
        for punch in cleanup.punches {
            feed.afterAcknowledgement(bytes: punch.part.count) { [puncher] in
                puncher.add(punch)
            }
        }
    }

    /// Begins to publish, for a standby that copies the store from now on.
    func beginBase(for standby: String) async throws(ReplicationError) {
        let result = await withCheckedContinuation {
            (continuation: CheckedContinuation<Result<Void, ReplicationError>, Never>) in
            let isOpen = onOpenWriter { committer, database in
                // Most of the WAL need not be sent then: the tables have it.
                committer.copyBackWAL(database, .truncate)
                continuation.resume(
                    returning: Result { () throws(ReplicationError) in
                        try committer.feed.attach(standby)
                        committer.tablesTail.withLock { $0.rewind() }
                        committer.publishTables()
                    })
            }
            if !isOpen {
                continuation.resume(returning: .failure(.failed("the store is closed")))
            }
        }
        try result.get()
    }

    /// Takes no more writes, and returns when none is under way.
    func fence(term: Int) async {
        queue.withLock { $0.fencedTerm = term }
        while !queue.withLock({ $0.isIdle }) { try? await Task.sleep(for: .milliseconds(1)) }
    }
}
