import Dispatch
import SessionModel
import Synchronization

/// Some bytes of a segment.
struct Extent: Hashable, Sendable {
    var segment: Int64
    var range: Range<Int>
}

/// Gives the blocks of dead bytes back to the file system, while others of their segment live.
///
/// Only what a commit has made dead comes here, and it waits until that commit has been copied from
/// the log into the database: until then a log that lost its end would lead back to where the bytes
/// were named. After that nothing names them but readers that began before the commit: they see
/// zeros, fail the checksum, and read again, when the row is gone. Nor are they written again, as
/// segments only grow. So it can be done aside, without the committer waiting, and when it was cut
/// short the next start does it again: the rows of `hole` tell what for.
final class HolePuncher: Sendable {
    /// File systems give back whole blocks of this size, or of a part of it.
    static let blockBytes = 4096

    private let directory: String
    private let queue = DispatchQueue(label: "lbfgsd.store.holes", qos: .utility)
    private let waiting = Mutex<[(part: Range<Int>, hole: Extent)]>([])
    private let finished = Mutex<[Extent]>([])

    init(directory: String) { self.directory = directory }

    var isWaiting: Bool { waiting.withLock { !$0.isEmpty } }

    /// So much waits that it is worth a checkpoint of its own.
    var isCrowded: Bool {
        waiting.withLock { $0.reduce(0) { $0 + $1.part.count } >= HolePuncher.crowdBytes }
    }

    private static let crowdBytes = 1 << 20

    /// - Parameter hole: The dead bytes around `part`, up to live ones, as their row has them.
    func add(_ part: Range<Int>, of hole: Extent) {
        waiting.withLock { $0.append((part, hole)) }
    }

    /// The log has been copied into the database as a whole.
    func punch() {
        let all = waiting.withLock { waiting in
            defer { waiting = [] }
            return waiting
        }
        for (part, hole) in all { punch(part, of: hole) }
    }

    private func punch(_ part: Range<Int>, of hole: Extent) {
        // A block that the part ends in is dead as far as the hole reaches.
        let block = HolePuncher.blockBytes
        let first = max(hole.range.lowerBound, part.lowerBound / block * block)
        let last = min(hole.range.upperBound, (part.upperBound + block - 1) / block * block)
        queue.async { [self] in
            let path = SegmentLog.path(of: hole.segment, in: directory)
            // A segment that is gone has no blocks; a file system that can't do it keeps them.
            try? DiskFile(path, for: .writing).punchHole(first..<last)
            finished.withLock { $0.append(hole) }
        }
    }

    /// Holes that need not be remembered as unfinished.
    func takeFinished() -> [Extent] {
        finished.withLock { finished in
            defer { finished = [] }
            return finished
        }
    }

    /// When all that was asked for is done.
    func finish() { queue.sync {} }
}
