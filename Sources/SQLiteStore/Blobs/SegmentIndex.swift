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
    /// the others in order of number, and whether none of them is damaged.
    static func recover(
        in database: Database
    ) throws -> (segments: [SegmentLog.IndexedSegment], isWhole: Bool) {
        _ = try deleteDead(except: 0, in: database)
        let rows = try database.rows(sql: SegmentColumn.table.select("ORDER BY id"))
        let whole = rows.compactMap { try? SegmentRow($0) }
        return (
            whole.map { SegmentLog.IndexedSegment(number: $0.number, size: $0.size) },
            whole.count == rows.count
        )
    }

    /// Brings the rows up to date with what a transaction did to the segments; the last step before
    /// its commit.
    static func apply(_ changes: SegmentChanges, in database: Database) throws -> Cleanup {
        guard !changes.segments.isEmpty else { return Cleanup() }
        for change in changes.segments {
            let found = try database.rows(.segment, [change.number]).first
            // A segment with a damaged row stays as it is.
            guard
                var row = found == nil
                    ? SegmentRow(number: change.number, size: 0, live: 0)
                    : found.flatMap({ try? SegmentRow($0) })
            else { continue }
            if let size = change.newSize { row.size = size }
            row.live += change.liveBytes
            guard 0 <= row.live, row.live <= row.size else {
                throw StoreError.corrupt(
                    "segment \(row.number) would have \(row.live) live bytes of \(row.size)")
            }
            let query: StoreQuery = found == nil ? .insertSegment : .updateSegment
            try database.run(query, binding: row.row.bound)
        }
        let dead = try deleteDead(except: changes.appendedTo, in: database)
        let released = changes.released.filter { !dead.contains($0.segment) }
        return Cleanup(dead: dead, punches: try insertHoles(released, in: database))
    }

    /// Deletes the rows of segments without live bytes, and returns their numbers.
    private static func deleteDead(
        except appendedTo: Int64, in database: Database
    ) throws -> [Int64] {
        let dead = try database.rows(.deadSegments, [appendedTo])
            .compactMap { try? SegmentRow($0) }.filter { $0.live == 0 }
        for segment in dead {
            try database.run(.deleteSegment, [segment.number])
            try database.run(.deleteHoles, [segment.number])
        }
        return dead.map(\.number)
    }

    private static func insertHoles(
        _ released: [Extent], in database: Database
    ) throws -> [Punch] {
        var punches: [Punch] = []
        for part in released where !part.range.isEmpty {
            var start = part.range.lowerBound
            var stop = part.range.upperBound
            if let below = try database.rows(.holeBelow, [part.segment, start]).first,
                let hole = try? HoleRow(below).extent.range, hole.upperBound == start
            {
                start = hole.lowerBound
                try database.run(.deleteHole, [part.segment, start])
            }
            if let above = try database.rows(.holeAt, [part.segment, stop]).first,
                let hole = try? HoleRow(above).extent.range
            {
                try database.run(.deleteHole, [part.segment, stop])
                stop = hole.upperBound
            }
            let hole = Extent(segment: part.segment, range: start..<stop)
            try database.run(
                .insertHole, binding: HoleRow(extent: hole, isOpen: true).row.bound)
            punches.append(Punch(part: part.range, hole: hole))
        }
        return punches
    }

    /// Marks holes as punched. A hole that has grown since has another row, which stays open.
    static func close(_ punched: [Extent], in database: Database) throws {
        for hole in punched {
            try database.run(
                .closeHole, binding: HoleRow(extent: hole, isOpen: false).row.bound)
        }
    }

    /// Holes that a crash may have left unpunched.
    static func openHoles(in database: Database) throws -> [Extent] {
        try database.rows(.openHoles, []).compactMap { row in
            guard let hole = try? HoleRow(row), hole.isOpen else { return nil }
            return hole.extent
        }
    }
}
