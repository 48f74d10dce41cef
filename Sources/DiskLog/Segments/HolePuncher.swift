import Dispatch
import Synchronization

/// A dead extent to be punched, and the hole it belongs to.
package struct Punch: Sendable {
    package var part: Range<Int>
    /// All dead bytes around the part, up to live ones, as the index has them.
    package var hole: Extent

    package init(part: Range<Int>, hole: Extent) {
        self.part = part
        self.hole = hole
    }

    /// The bytes to punch: the part, extended to whole blocks as far as the hole reaches.
    package var range: Range<Int> {
        let block = DiskFile.blockBytes
        let first = max(hole.range.lowerBound, part.lowerBound / block * block)
        let last = min(hole.range.upperBound, DiskFile.wholeBlocks(part.upperBound))
        return first..<last
    }
}

/// Frees the blocks of dead extents in segments that have live bytes as well.
///
/// An extent is added after the commit that made it dead, and punched after the index's own log has
/// been copied into the index: until then, a log that lost its end would lead back to a state that
/// names the bytes. After that only readers that began before the commit still name them; they see
/// zeros, fail the checksum, and read the index again. Segments only grow, so the bytes are never
/// rewritten, and punching may run in the background. The index keeps each hole marked as open
/// until it is punched, so that the next start repeats what was cut short.
package final class HolePuncher: Sendable {
    private let directory: SegmentDirectory
    private let queue = DispatchQueue(label: "lbfgsd.store.holes", qos: .utility)
    private let waiting = Mutex<[Punch]>([])
    private let finished = Mutex<[Extent]>([])

    /// This many dead bytes are worth a checkpoint of the index's log.
    private static let manyBytes = 1 << 20

    package init(directory: SegmentDirectory) { self.directory = directory }

    package var isWaiting: Bool { waiting.withLock { !$0.isEmpty } }

    /// Whether enough waits to justify copying back the index's log.
    package var hasMany: Bool {
        waiting.withLock { $0.reduce(0) { $0 + $1.part.count } >= Self.manyBytes }
    }

    package func add(_ punch: Punch) { waiting.withLock { $0.append(punch) } }

    /// Punches all that waits, in the background. Called after the index's log has been copied into
    /// the index completely.
    package func punchWaiting() {
        let punches = waiting.withLock { waiting in
            defer { waiting = [] }
            return waiting
        }
        for punch in punches {
            queue.async { [self] in
                let path = directory.path(of: punch.hole.segment)
                // A removed segment has no blocks, and a file system without support keeps them.
                let isPunched = directory.pin.unlessHeld {
                    try? DiskFile(path, for: .writing).punchHole(punch.range)
                }
                // A backup may need the bytes: the punch waits for the next copying back.
                guard isPunched else { return waiting.withLock { $0.append(punch) } }
                finished.withLock { $0.append(punch.hole) }
            }
        }
    }

    /// Holes that have been punched since the last call, to be marked as closed in the index.
    package func takeFinished() -> [Extent] {
        finished.withLock { finished in
            defer { finished = [] }
            return finished
        }
    }

    /// Returns when all that was handed to the background is done.
    package func waitUntilIdle() { queue.sync {} }
}
