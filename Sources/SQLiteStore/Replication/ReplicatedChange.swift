package import DiskLog

/// A commit as a standby repeats it: bytes of the files in which the primary has made it durable.
///
/// The files are the unit, rather than entries and rows, so that a standby's directory is at each
/// moment one that the primary could have left by a crash, and is opened in the same way.
package enum ReplicatedChange: Equatable, Sendable {
    /// A frame of the write-ahead log.
    case log(LogAppend)
    /// A transaction: frames of SQLite's WAL, up to one that commits.
    case tables(TablesAppend)

    private static let logKind: UInt8 = 1
    private static let tablesKind: UInt8 = 2

    package struct TablesAppend: Equatable, Sendable {
        /// The WAL's header. Another one begins the WAL anew, after the tables have all of it.
        package var header: [UInt8]
        /// Where the frames begin in the WAL.
        package var offset: Int
        package var frames: [UInt8]
        /// Bytes of segments that the transaction is the first to name.
        package var growths: [SegmentGrowth] = []
        /// Segments that no row names any more.
        package var removed: [Int64] = []
        /// Dead bytes whose blocks are given back.
        package var holes: [Extent] = []

        package init(
            header: [UInt8], offset: Int, frames: [UInt8], growths: [SegmentGrowth] = [],
            removed: [Int64] = [], holes: [Extent] = []
        ) {
            self.header = header
            self.offset = offset
            self.frames = frames
            self.growths = growths
            self.removed = removed
            self.holes = holes
        }
    }

    /// Bytes at the end of a segment.
    package struct SegmentGrowth: Equatable, Sendable {
        package var extent: Extent
        /// Empty if they are fetched from the segment.
        package var bytes: [UInt8]

        package init(extent: Extent, bytes: [UInt8]) {
            self.extent = extent
            self.bytes = bytes
        }
    }

    /// On the wire: the kind, then integers of 64 bits, each byte string after its length.
    package var encoded: [UInt8] {
        var bytes: [UInt8] = []
        switch self {
        case .log(let append):
            bytes.append(Self.logKind)
            bytes.appendLittleEndian(append.epoch)
            bytes.appendLittleEndian(UInt64(append.file))
            bytes.appendLittleEndian(UInt64(append.offset))
            bytes.appendString(append.bytes)
        case .tables(let append):
            bytes.append(Self.tablesKind)
            bytes.appendString(append.header)
            bytes.appendLittleEndian(UInt64(append.offset))
            bytes.appendString(append.frames)
            bytes.appendLittleEndian(UInt64(append.growths.count))
            for growth in append.growths {
                bytes.appendExtent(growth.extent)
                bytes.appendString(growth.bytes)
            }
            bytes.appendLittleEndian(UInt64(append.removed.count))
            for segment in append.removed { bytes.appendLittleEndian(segment) }
            bytes.appendLittleEndian(UInt64(append.holes.count))
            for hole in append.holes { bytes.appendExtent(hole) }
        }
        return bytes
    }

    /// nil for bytes that are no change.
    package init?(_ bytes: ArraySlice<UInt8>) {
        var reader = LittleEndianReader(bytes)
        switch reader.byte() {
        case Self.logKind:
            guard let epoch = reader.integer(UInt64.self), let file = reader.count(), file < 2,
                let offset = reader.count(), let bytes = reader.string()
            else { return nil }
            self = .log(LogAppend(epoch: epoch, file: file, offset: offset, bytes: bytes))
        case Self.tablesKind:
            guard let header = reader.string(), let offset = reader.count(),
                let frames = reader.string(),
                let growths = reader.list({ reader -> SegmentGrowth? in
                    guard let extent = reader.extent(), let bytes = reader.string() else {
                        return nil
                    }
                    return SegmentGrowth(extent: extent, bytes: bytes)
                }),
                let removed = reader.list({ $0.integer(Int64.self) }),
                let holes = reader.list({ $0.extent() })
            else { return nil }
            self = .tables(
                TablesAppend(
                    header: header, offset: offset, frames: frames, growths: growths,
                    removed: removed, holes: holes))
        default: return nil
        }
        guard reader.isAtEnd else { return nil }
    }
}

/// A change with its number and the time at which it was made.
///
/// On the wire: the length of what follows (u32), a CRC-32C of what follows it (u32), the number
/// (u64), the time in microseconds since 1970 (i64), and the change.
package struct NumberedChange: Equatable, Sendable {
    package var number: Int
    package var microseconds: Int64
    package var change: ReplicatedChange

    private static let prefixBytes = 8

    package init(number: Int, microseconds: Int64, change: ReplicatedChange) {
        self.number = number
        self.microseconds = microseconds
        self.change = change
    }

    package static func encode(_ change: [UInt8], number: Int, microseconds: Int64) -> [UInt8] {
        var covered: [UInt8] = []
        covered.reserveCapacity(16 + change.count)
        covered.appendLittleEndian(UInt64(number))
        covered.appendLittleEndian(microseconds)
        covered.append(contentsOf: change)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(prefixBytes + covered.count)
        bytes.appendLittleEndian(UInt32(covered.count + 4))
        bytes.appendLittleEndian(CRC32C.checksum(covered))
        bytes.append(contentsOf: covered)
        return bytes
    }

    /// The changes in an answer; nil if it is not what the primary has sent.
    package static func decode(_ bytes: [UInt8]) -> [NumberedChange]? {
        var changes: [NumberedChange] = []
        var reader = LittleEndianReader(bytes[...])
        while !reader.isAtEnd {
            guard let length = reader.integer(UInt32.self), length >= 20,
                let checksum = reader.integer(UInt32.self),
                let covered = reader.bytes(Int(length) - 4),
                CRC32C.checksum(Array(covered)) == checksum
            else { return nil }
            var fields = LittleEndianReader(covered)
            guard let number = fields.count(), let microseconds = fields.integer(Int64.self),
                let change = ReplicatedChange(fields.rest)
            else { return nil }
            changes.append(
                NumberedChange(number: number, microseconds: microseconds, change: change))
        }
        return changes
    }
}

extension [UInt8] {
    fileprivate mutating func appendString(_ bytes: [UInt8]) {
        appendLittleEndian(UInt64(bytes.count))
        append(contentsOf: bytes)
    }

    fileprivate mutating func appendExtent(_ extent: Extent) {
        appendLittleEndian(extent.segment)
        appendLittleEndian(UInt64(extent.range.lowerBound))
        appendLittleEndian(UInt64(extent.range.upperBound))
    }
}

extension LittleEndianReader {
    fileprivate mutating func count() -> Int? {
        integer(UInt64.self).flatMap { Int(exactly: $0) }
    }

    fileprivate mutating func string() -> [UInt8]? {
        count().flatMap { bytes($0) }.map { Array($0) }
    }

    fileprivate mutating func extent() -> Extent? {
        guard let segment = integer(Int64.self), let start = count(), let end = count(),
            start <= end
        else { return nil }
        return Extent(segment: segment, range: start..<end)
    }

    fileprivate mutating func list<Element>(
        _ read: (inout LittleEndianReader) -> Element?
    ) -> [Element]? {
        guard let count = count(), count <= rest.count else { return nil }
        var list: [Element] = []
        for _ in 0..<count {
            guard let element = read(&self) else { return nil }
            list.append(element)
        }
        return list
    }
}
