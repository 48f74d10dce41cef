import GRDB
import SessionModel

// The dead bytes of segments that have live ones, as rows of `hole`: neighbours are one hole, so
// that a segment has at most one more of them than live blobs, and whole blocks become free
// wherever the blobs around them are dead.

extension SegmentLog {
    /// Enters what became dead into `hole`; returns what is to be punched after the commit.
    static func enter(
        _ released: [Extent], in database: Database
    ) throws -> [(part: Range<Int>, hole: Extent)] {
        var holes: [(part: Range<Int>, hole: Extent)] = []
        for part in released where !part.range.isEmpty {
            var start = part.range.lowerBound
            var stop = part.range.upperBound
            if let below = try database.rows(.holeBelow, [part.segment, start]).first,
                below[1] == start
            {
                start = below[0]
                try database.run(.deleteHole, [part.segment, start])
            }
            if let above = try database.integer(.holeAt, [part.segment, stop]) {
                try database.run(.deleteHole, [part.segment, stop])
                stop = Int(above)
            }
            try database.run(.insertHole, [part.segment, start, stop])
            holes.append((part.range, Extent(segment: part.segment, range: start..<stop)))
        }
        return holes
    }

    static func close(_ finished: [Extent], in database: Database) throws {
        for hole in finished {
            // One that has grown since is another hole, and not finished.
            try database.run(
                .closeHole, [hole.segment, hole.range.lowerBound, hole.range.upperBound])
        }
    }

    /// Holes that a crash may have left unpunched.
    static func openHoles(in database: Database) throws -> [Extent] {
        try database.rows(.openHoles, []).map { row in
            Extent(segment: row[0], range: row[1]..<row[2])
        }
    }
}
