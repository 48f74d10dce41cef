import DiskLog
import GRDB
import SessionModel

/// The rows of `segment` and `hole`, the index of the segment files.
///
/// A hole is a range of dead bytes in a segment that has live ones. Adjacent holes are merged, so
/// that a segment has at most one more of them than live blobs, and whole blocks become free
/// wherever the blobs around them are dead. A hole is open until its blocks have been punched.
enum SegmentIndex {
    /// What to do with segment files after the commit.
    struct Cleanup {
        /// Segments to be removed, since none of their bytes is live.
        var dead: [Int64] = []
        var punches: [Punch] = []
    }

    /// Deletes the rows of segments without live bytes, which a crash may have left, and returns
    /// the others in order of number.
    static func recover(in database: Database) throws -> [SegmentLog.IndexedSegment] {
        try database.execute(
            sql: """
                DELETE FROM segment WHERE live = 0;
                DELETE FROM hole WHERE segment NOT IN (SELECT id FROM segment);
                """)
        return try database.rows(sql: "SELECT id, size FROM segment ORDER BY id").map { row in
            try SegmentLog.IndexedSegment(number: row.int64(0), size: row.int(1))
        }
    }

    /// Brings the rows up to date with what a transaction did to the segments; the last step before
    /// its commit.
    static func apply(_ changes: SegmentChanges, in database: Database) throws -> Cleanup {
        guard !changes.segments.isEmpty else { return Cleanup() }
        for segment in changes.segments {
            if let size = segment.newSize {
                try database.run(.growSegment, [segment.number, size, segment.liveBytes])
            } else {
                try database.run(.shrinkSegment, [segment.liveBytes, segment.number])
            }
        }
        let dead = try database.rows(.deleteDeadSegments, [changes.appendedTo])
            .map { try $0.int64(0) }
        for segment in dead { try database.run(.deleteHoles, [segment]) }
        let released = changes.released.filter { !dead.contains($0.segment) }
        return Cleanup(dead: dead, punches: try insertHoles(released, in: database))
    }

    private static func insertHoles(
        _ released: [Extent], in database: Database
    ) throws -> [Punch] {
        var punches: [Punch] = []
        for part in released where !part.range.isEmpty {
            var start = part.range.lowerBound
            var stop = part.range.upperBound
            if let below = try database.rows(.holeBelow, [part.segment, start]).first,
                try below.int(1) == start
            {
                start = try below.int(0)
                try database.run(.deleteHole, [part.segment, start])
            }
            if let above = try database.integer(.holeAt, [part.segment, stop]) {
                try database.run(.deleteHole, [part.segment, stop])
                stop = Int(above)
            }
            try database.run(.insertHole, [part.segment, start, stop])
            punches.append(
                Punch(
                    part: part.range,
                    hole: Extent(segment: part.segment, range: start..<stop)))
        }
        return punches
    }

    /// Marks holes as punched. A hole that has grown since has another row, which stays open.
    static func close(_ punched: [Extent], in database: Database) throws {
        for hole in punched {
            try database.run(
                .closeHole, [hole.segment, hole.range.lowerBound, hole.range.upperBound])
        }
    }

    /// Holes that a crash may have left unpunched.
    static func openHoles(in database: Database) throws -> [Extent] {
        try database.rows(.openHoles, []).map { row in
            Extent(segment: try row.int64(0), range: try row.int(1)..<row.int(2))
        }
    }
}
