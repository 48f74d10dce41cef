import Foundation
import GRDB
import SessionModel

/// Where bytes too long for SQLite are written.
///
/// Segments are files that only grow: 000001.seg, 000002.seg ... and those that are written whole,
/// for one long blob each (`SegmentStage`): 000001.vec ... SQLite is their index: a blob's
/// row names its segment, offset and length, and a segment's row says how long the file is and
/// how many of its bytes are live. A transaction appends to one segment, syncs it once, and then
/// commits the rows. A crash before the commit leaves bytes that no row names: beyond the end of
/// the newest segment, or in a file without a row. The next start cuts off the one and removes the
/// other, at a cost that grows with the number of segments, not of sessions.
///
/// A segment without live bytes is removed; dead ones among live ones become holes.
///
/// A value: the committer works on a copy and keeps it only when the commit succeeds, so that
/// what failed is written over.
struct SegmentLog: Sendable {
    private let directory: String
    private let bytesMax: Int
    private let faults: FaultInjection
    private let puncher: HolePuncher

    private var file: DiskFile?
    private var number: Int64
    /// Where the next bytes go.
    private var end: Int
    /// `end` at the newest commit.
    private var committedEnd: Int
    /// Live bytes that this transaction adds to each segment, or takes away.
    private var liveChanges: [Int64: Int] = [:]
    private var needsSync = false
    /// What this transaction makes dead.
    private var released: [Extent] = []
    /// Segments whose rows this transaction deletes; the files go after the commit.
    private var dead: [Int64] = []
    /// Staged segments that this transaction names for the first time, with their sizes.
    private var adopted: [Int64: Int] = [:]
    /// The newest staged segment, when the log was opened.
    let newestStaged: Int64
    private var holes: [(part: Range<Int>, hole: Extent)] = []

    /// Opens the log after a crash or a clean end, which are the same to it.
    init(
        recovering directory: String, bytesMax: Int, in database: Database,
        faults: FaultInjection, puncher: HolePuncher
    ) throws {
        self.directory = directory
        self.bytesMax = bytesMax
        self.faults = faults
        self.puncher = puncher
        try database.execute(
            sql: """
                DELETE FROM segment WHERE live = 0;
                DELETE FROM hole WHERE segment NOT IN (SELECT id FROM segment);
                """)
        for hole in try SegmentLog.openHoles(in: database) { puncher.add(hole.range, of: hole) }
        let rows = try Row.fetchAll(database, sql: "SELECT id, size FROM segment ORDER BY id")
        let known = Set(rows.map { SegmentLog.fileName($0["id"]) })
        for name in try FileManager.default.contentsOfDirectory(atPath: directory)
        where !known.contains(name) {
            try DiskFile.remove(directory + "/" + name)
        }
        number = 0
        end = 0
        committedEnd = 0
        newestStaged = rows.first.map { min($0["id"], 0) } ?? 0
        guard let newest = rows.last, newest["id"] > 0 else { return }
        number = newest["id"]
        let size: Int = newest["size"]
        // A segment that is missing or shorter than it was takes no more; reading what was in it
        // says so to whoever asks.
        let path = SegmentLog.path(of: number, in: directory)
        if let file = try? DiskFile(path, for: .writing), try file.size() >= size {
            try file.truncate(to: size)
            self.file = file
            end = size
            committedEnd = size
        }
    }

    static func path(of segment: Int64, in directory: String) -> String {
        directory + "/" + fileName(segment)
    }

    private static func fileName(_ segment: Int64) -> String {
        let digits = String(abs(segment))
        return String(repeating: "0", count: max(0, 6 - digits.count)) + digits
            + (segment > 0 ? ".seg" : ".vec")
    }
}

extension SegmentLog {
    /// Writes the bytes, not yet durable.
    mutating func append(_ octets: Octets) throws -> (segment: Int64, offset: Int) {
        let file = try fileToAppendTo()
        needsSync = true
        try faults.pass(.segmentWrite, file.path)
        let offset = end
        try unsafe octets.forEachRegion { region in
            try unsafe file.write(region, at: end)
            end += region.count
        }
        liveChanges[number, default: 0] += octets.count
        return (number, offset)
    }

    /// Takes in a segment that is durable already.
    mutating func adopt(_ staged: StagedSegment) {
        adopted[staged.segment] = staged.count
        liveChanges[staged.segment, default: 0] += staged.count
    }

    /// The next transaction opens another file.
    mutating func beginSegment() { file = nil }

    /// Rotates between transactions only, so that each has one file to sync.
    private mutating func fileToAppendTo() throws -> DiskFile {
        if let file, end > committedEnd || end < bytesMax { return file }
        number += 1
        end = 0
        committedEnd = 0
        let file = try DiskFile(SegmentLog.path(of: number, in: directory), for: .creating)
        try DiskFile.syncDirectory(directory)
        self.file = file
        return file
    }

    /// The bytes of a blob that is deleted.
    mutating func release(_ range: Range<Int>, in segment: Int64) {
        liveChanges[segment, default: 0] -= range.count
        released.append(Extent(segment: segment, range: range))
    }

    /// Makes what was appended durable and brings the rows of the segments up to date; the last
    /// thing to do before the commit.
    mutating func prepareCommit(in database: Database) throws {
        if needsSync {
            try faults.pass(.segmentSync, directory)
            try file?.sync()
        }
        try SegmentLog.close(puncher.takeFinished(), in: database)
        guard !liveChanges.isEmpty else { return }
        for (segment, change) in liveChanges.sorted(by: { $0.key < $1.key }) {
            if segment == number {
                try database.run(.growSegment, [segment, end, change])
            } else if let size = adopted[segment] {
                try database.run(.growSegment, [segment, size, change])
            } else {
                try database.run(.shrinkSegment, [change, segment])
            }
        }
        dead = try database.rows(.deleteDeadSegments, [number]).map { $0[0] }
        for segment in dead { try database.run(.deleteHoles, [segment]) }
        holes = try SegmentLog.enter(
            released.filter { !dead.contains($0.segment) }, in: database)
    }

    /// After a failure, on the copy of the log that met it: cuts off what was written since
    /// `former`, so that a disk that is full has that room again.
    func discard(after former: SegmentLog) {
        guard needsSync else { return }
        try? file?.truncate(to: number == former.number ? former.end : 0)
    }

    /// After the commit. A file that can't be removed now is by the next start.
    mutating func committed() {
        for segment in dead { SegmentRemoval.remove(SegmentLog.path(of: segment, in: directory)) }
        for (part, hole) in holes { puncher.add(part, of: hole) }
        dead = []
        holes = []
        released = []
        adopted = [:]
        liveChanges = [:]
        needsSync = false
        committedEnd = end
    }
}
