import Dispatch
import DiskLog
import GRDB
import SessionModel
import Synchronization

// Work between the groups, on the writer's queue.

extension Committer {
    /// Flushes the memtable when nothing has been appended for a while, so that a copy of the
    /// database is complete and the memory is released.
    func setQuietTimer() {
        guard !isQuietTimerSet.exchange(true, ordering: .acquiringAndReleasing) else { return }
        let position = schedule.withLock { $0.position }
        quietTimer.asyncAfter(deadline: .now() + limits.quietSeconds) { [self] in
            onOpenWriter { committer, database in
                committer.isQuietTimerSet.store(false, ordering: .releasing)
                guard committer.schedule.withLock({ $0.position }) == position else {
                    return committer.setQuietTimer()
                }
                committer.flushSlices(database)
            }
        }
    }

    /// Releases a slice of the free pages; the next follows after the requests that have come in
    /// the meantime.
    func releaseFreePages(_ database: Database) {
        mayHaveFreePages.withLock { $0 = false }
        if queue.withLock({ $0.isClosed }) { return }
        do {
            let hasMore = try FreePages.release(in: database)
            publishTables()
            guard hasMore else {
                if puncher.isWaiting { copyBackWAL(database, .passive) }
                return
            }
            walPages.withLock { $0 += 2 * FreePages.sliceMax }
            onWriter { [self] database in
                mayHaveFreePages.withLock { $0 = true }
                drain(database)
            }
        } catch {
            _ = survivable(error)
        }
    }

    /// While little space is left: what SQLite's WAL has is copied back early, as long as the
    /// database can grow for it. Deletions on a full disk then find the WAL's pages free.
    func copyBackEarly() {
        onOpenWriter { committer, database in
            guard committer.walPages.withLock({ $0 > 0 }) else { return }
            committer.copyBackWAL(database, .passive)
        }
    }

    /// SQLite's checkpoint: copies its WAL back into the database. Only the committer does it:
    /// SQLite's automatic one would hide a failed sync, and with the bug of 3.40 two at once could
    /// corrupt the database. After another failure (no space) the WAL stays as it is, and the next
    /// call tries again.
    func copyBackWAL(_ database: Database, _ kind: Database.CheckpointMode) {
        walPages.withLock { $0 = 0 }
        do {
            var result = try database.checkpoint(kind)
            if kind == .passive, result.walFrameCount >= limits.walPagesMax {
                result = try database.checkpoint(.truncate)
            }
            if result.checkpointedFrameCount == result.walFrameCount { puncher.punchWaiting() }
        } catch {
            _ = survivable(error)
        }
    }
}
