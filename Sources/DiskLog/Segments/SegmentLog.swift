import Foundation

/// Appends byte strings that are too long for the index to segment files, for one transaction at a
/// time.
///
/// Segments only grow. The index (SQLite, for the daemon) has a row for each segment, with its
/// committed size and its number of live bytes, and names each byte string by segment, offset and
/// length. A transaction appends to one segment, syncs it once, and then commits the index. A crash
/// before the commit leaves bytes that no row names, either beyond the committed size of the newest
/// segment or in a file without a row: recovery sets them aside (see `LostSegments`) and truncates
/// the one and moves the other, at a cost that grows with the number of segments.
///
/// A segment without live bytes is removed; dead ranges among live ones become holes.
///
/// The log is a value: a transaction works on a copy, which replaces the original only if the
/// commit succeeds, so that the bytes of a failed transaction are overwritten.
package struct SegmentLog: Sendable {
    /// A segment as the index has it.
    package struct IndexedSegment: Sendable {
        package var number: Int64
        package var size: Int

        package init(number: Int64, size: Int) {
            self.number = number
            self.size = size
        }
    }

    package let directory: SegmentDirectory
    /// The number of the newest staged segment that there is, 0 without any; they are negative.
    package private(set) var newestStaged: Int64 = 0
    private let bytesMax: Int

    private var file: DiskFile?
    /// The segment that is appended to.
    private var number: Int64
    /// Where the next bytes go.
    private var end: Int
    /// `end` at the newest commit.
    private var committedEnd: Int
    private var needsSync = false
    /// By segment, the live bytes that this transaction adds or, negative, removes.
    private var liveChanges: [Int64: Int] = [:]
    /// By number, the sizes of staged segments that this transaction names for the first time.
    private var adopted: [Int64: Int] = [:]
    /// Extents whose bytes this transaction makes dead.
    private var released: [Extent] = []

    /// Recovers the directory after a crash or an orderly end, which leave the same states.
    ///
    /// Files whose names are not those of segments are left alone.
    ///
    /// - Parameter indexed: The index's segments in order of number.
    /// - Parameter isIndexWhole: Whether the index can be trusted to have all segments. Otherwise
    ///   nothing is set aside or truncated, and new bytes go to new segments.
    /// - Parameter bytesMax: A segment that has grown to this takes no more.
    package init(
        recovering directory: SegmentDirectory, indexed: [IndexedSegment],
        isIndexWhole: Bool = true, bytesMax: Int, lost: LostSegments
    ) throws {
        self.directory = directory
        self.bytesMax = bytesMax
        lost.prune()
        var numbers = Set(indexed.map(\.number))
        let names = try FileManager.default.contentsOfDirectory(atPath: directory.path)
        for name in names.sorted() {
            guard let found = SegmentDirectory.number(ofFile: name), !numbers.contains(found) else {
                continue
            }
            if isIndexWhole {
                try lost.take(directory.path + "/" + name)
            } else {
                numbers.insert(found)
            }
        }
        newestStaged = min(numbers.min() ?? 0, 0)
        number = max(numbers.max() ?? 0, 0)
        end = 0
        committedEnd = 0
        guard isIndexWhole, let newest = indexed.last, newest.number > 0 else { return }
        // A segment that is missing, or shorter than its committed size, takes no more, and
        // reading its bytes throws.
        let path = directory.path(of: number)
        if let file = try? DiskFile(path, for: .writing), case let size = try file.size(),
            size >= newest.size
        {
            try lost.copyEnd(of: file, from: newest.size, to: size)
            try file.truncate(to: newest.size)
            self.file = file
            end = newest.size
            committedEnd = newest.size
        }
    }
}

extension SegmentLog {
    /// Appends a byte string, which is not durable before `sync`. `regions` calls the function that
    /// it gets with each of the string's regions.
    package mutating func append(
        _ regions: (_ write: (UnsafeRawBufferPointer) throws -> Void) throws -> Void
    ) throws -> Extent {
        let file = try fileToAppendTo()
        needsSync = true
        try directory.faults.pass(.segmentWrite, file.path)
        let start = end
        try unsafe regions { region in
            try unsafe file.write(region, at: end)
            end += region.count
        }
        liveChanges[number, default: 0] += end - start
        return Extent(segment: number, range: start..<end)
    }

    /// Takes in a staged segment, which is durable already.
    package mutating func adopt(_ staged: SegmentSlice) {
        adopted[staged.segment] = staged.count
        liveChanges[staged.segment, default: 0] += staged.count
    }

    /// Makes the next transaction open another segment.
    package mutating func beginSegment() { file = nil }

    /// Segments rotate between transactions only, so that each has one file to sync.
    private mutating func fileToAppendTo() throws -> DiskFile {
        if let file, end > committedEnd || end < bytesMax { return file }
        number += 1
        end = 0
        committedEnd = 0
        let file = try DiskFile(directory.path(of: number), for: .creating)
        try DiskFile.syncDirectory(directory.path)
        self.file = file
        return file
    }

    /// Makes the bytes of an extent dead.
    package mutating func release(_ extent: Extent) {
        liveChanges[extent.segment, default: 0] -= extent.range.count
        released.append(extent)
    }

    /// Makes what was appended durable. Must be called before the index is committed. Throws
    /// `FileError` of operation `find` when the name of a file is gone: no reader could open it.
    package func sync() throws {
        for staged in adopted.keys {
            let path = directory.path(of: staged)
            guard DiskFile.owner(of: path) != nil else {
                throw FileError(operation: .find, path: path, code: 0)
            }
        }
        guard needsSync, let file else { return }
        try directory.faults.pass(.segmentSync, directory.path)
        try file.sync()
        guard try file.isNamed() else {
            throw FileError(operation: .find, path: file.path, code: 0)
        }
    }

    /// What this transaction changes in the index.
    package var changes: SegmentChanges {
        SegmentChanges(
            segments: liveChanges.sorted { $0.key < $1.key }.map { segment, change in
                SegmentChanges.Segment(
                    number: segment, liveBytes: change,
                    newSize: segment == number ? end : adopted[segment],
                    oldSize: segment == number ? committedEnd : 0)
            }, released: released, appendedTo: number)
    }

    /// Truncates what was appended since `committed`, so that a full disk has that space again.
    /// Called on the copy of the log whose transaction failed.
    package func discard(after committed: SegmentLog) {
        guard needsSync else { return }
        try? file?.truncate(to: number == committed.number ? committed.end : 0)
    }

    /// Ends the transaction after the index's commit.
    package mutating func committed() {
        liveChanges = [:]
        adopted = [:]
        released = []
        needsSync = false
        committedEnd = end
    }
}

/// What a transaction changes in the index of the segments.
package struct SegmentChanges: Sendable {
    package struct Segment: Equatable, Sendable {
        package var number: Int64
        /// Live bytes that the segment gains or, negative, loses.
        package var liveBytes: Int
        /// The segment's size, if it has grown or is new.
        package var newSize: Int?
        /// Its size before.
        package var oldSize: Int

        /// The bytes that the transaction has added.
        package var growth: Extent? {
            guard let newSize, newSize > oldSize else { return nil }
            return Extent(segment: number, range: oldSize..<newSize)
        }
    }

    /// In order of number.
    package var segments: [Segment]
    package var released: [Extent]
    /// The segment that is appended to, which stays even when none of its bytes is live.
    package var appendedTo: Int64
}
