import DiskLog
import SessionModel

enum SegmentColumn: Int, TableColumn {
    case id, size, live

    static let table = Table("segment", Self.self)
}

/// A row of `segment`: a segment file's committed length, and how many of its bytes are live.
struct SegmentRow {
    var number: Int64
    var size: Int
    var live: Int

    init(number: Int64, size: Int, live: Int) {
        self.number = number
        self.size = size
        self.live = live
    }

    init(_ result: ResultRow) throws(StoreError) {
        let row = try ChecksummedRow<SegmentColumn>(result)
        number = try row.int64(.id)
        size = try row.int(.size)
        live = try row.int(.live)
        guard 0 <= live, live <= size else {
            throw .corrupt("segment \(number) has \(live) live bytes of \(size)")
        }
    }

    var row: ChecksummedRow<SegmentColumn> {
        var row = ChecksummedRow<SegmentColumn>()
        row.set(.id, number)
        row.set(.size, size)
        row.set(.live, live)
        return row
    }
}

enum HoleColumn: Int, TableColumn {
    case segment, start, stop, isOpen

    static let table = Table("hole", Self.self)
}

/// A row of `hole`: dead bytes of a segment that has live ones.
struct HoleRow {
    var extent: Extent
    /// Whether its blocks have still to be given back.
    var isOpen: Bool

    init(extent: Extent, isOpen: Bool) {
        self.extent = extent
        self.isOpen = isOpen
    }

    init(_ result: ResultRow) throws(StoreError) {
        let row = try ChecksummedRow<HoleColumn>(result)
        let (segment, start, stop) = (
            try row.int64(.segment), try row.int(.start), try row.int(.stop)
        )
        guard 0 <= start, start < stop else {
            throw .corrupt("a hole of segment \(segment) has no place")
        }
        extent = Extent(segment: segment, range: start..<stop)
        isOpen = try row.int(.isOpen) != 0
    }

    var row: ChecksummedRow<HoleColumn> {
        var row = ChecksummedRow<HoleColumn>()
        row.set(.segment, extent.segment)
        row.set(.start, extent.range.lowerBound)
        row.set(.stop, extent.range.upperBound)
        row.set(.isOpen, isOpen ? 1 : 0)
        return row
    }
}
