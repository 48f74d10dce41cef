import DiskLog
import Foundation
import SessionModel

/// The files of a store whose bytes come from a primary: the tables, SQLite's WAL, the log and the
/// segments.
///
/// Each change is applied at its place, so applying it twice does no harm as long as the WAL and
/// the log have not begun anew since. A WAL that begins anew is copied to the tables first, as
/// SQLite would: each frame is a page.
///
/// Each change is durable before the next is written, as on the primary. Recovery relies on that:
/// it takes a wrong frame before others that are whole for damage.
final class ReplicaFiles {
    /// What is to be done before the WAL or the log begins anew, with all before it durable.
    typealias Milestone = () throws -> Void

    private let root: String
    /// Where segments are looked for; the last one takes new ones.
    private let segmentFolders: [String]
    private let tables: DiskFile
    private let wal: DiskFile
    private var walHeader: [UInt8]
    private var walEnd: Int
    private let logs: [DiskFile]
    private var logSizes: [Int]
    private var logEpoch: UInt64?
    /// Removals of segments and holes, with the numbers of their changes.
    private(set) var cleanups: [(number: Int, removed: [Int64], holes: [Extent])] = []

    static let fetchBytes = 4 << 20
    private static let zeroPage = [UInt8](repeating: 0, count: 4096)

    enum Failure: Error, Equatable, CustomStringConvertible {
        /// The change does not continue what is here.
        case outOfStep(String)

        var description: String {
            switch self {
            case .outOfStep(let what): what
            }
        }
    }

    /// Opens the files, creating them if they are missing.
    init(in root: String, segmentFolders: [String]) throws {
        self.root = root
        self.segmentFolders = segmentFolders
        try DiskFile.makeDirectory(root + "/journal")
        for folder in segmentFolders { try DiskFile.makeDirectory(folder) }
        tables = try DiskFile(root + "/lbfgsd.sqlite", for: .creatingIfAbsent)
        wal = try DiskFile(root + "/lbfgsd.sqlite-wal", for: .creatingIfAbsent)
        walEnd = try wal.size()
        walHeader =
            walEnd < TablesTail.headerBytes
            ? [] : try StoreBackup.bytes(of: wal, at: 0, count: TablesTail.headerBytes)
        logs = try ["1.log", "2.log"].map {
            try DiskFile(root + "/journal/" + $0, for: .creatingIfAbsent)
        }
        logSizes = try logs.map { try $0.size() }
        try DiskFile.syncDirectory(root + "/journal")
        try DiskFile.syncDirectory(root)
    }

    /// Returns when the change is durable.
    func apply(
        _ numbered: NumberedChange, from primary: any PrimaryConnection, milestone: Milestone
    ) throws {
        switch numbered.change {
        case .log(let append):
            if append.epoch != logEpoch {
                try milestone()
                logEpoch = append.epoch
            }
            try apply(append)
        case .tables(let append):
            for growth in append.growths { try apply(growth, from: primary) }
            if append.header != walHeader {
                try milestone()
                try beginWAL(append)
            }
            guard append.offset <= walEnd else {
                throw Failure.outOfStep("frames of the WAL are missing")
            }
            try wal.write(append.frames, at: append.offset)
            try wal.sync()
            walEnd = max(walEnd, append.offset + append.frames.count)
            if !append.removed.isEmpty || !append.holes.isEmpty {
                cleanups.append((numbered.number, append.removed, append.holes))
            }
        }
    }

    /// Writes a part of the tables that was copied.
    func placeTables(_ bytes: [UInt8], at offset: Int) throws {
        try tables.write(bytes, at: offset)
    }

    /// Writes a part of a file of the log that was copied.
    func placeLog(_ index: Int, _ bytes: [UInt8], at offset: Int) throws {
        try logs[index].write(bytes, at: offset)
        logSizes[index] = max(logSizes[index], offset + bytes.count)
    }

    // MARK: The log

    private func apply(_ append: LogAppend) throws {
        let needed = append.offset + append.bytes.count
        let step = WriteAheadLog.growthBytes
        // Grown by zeros ahead, page by page, as the primary does: see `WriteAheadLog`.
        let size = needed > logSizes[append.file] ? (needed + step - 1) / step * step : 0
        while logSizes[append.file] < size {
            try logs[append.file].write(Self.zeroPage, at: logSizes[append.file])
            logSizes[append.file] += Self.zeroPage.count
        }
        try logs[append.file].write(append.bytes, at: append.offset)
        try logs[append.file].sync()
    }

    // MARK: The tables

    private func beginWAL(_ append: ReplicatedChange.TablesAppend) throws {
        guard append.offset == TablesTail.headerBytes else {
            throw Failure.outOfStep("the beginning of the WAL is missing")
        }
        try copyBackWAL()
        try wal.truncate(to: 0)
        // Durable before the first frame, as SQLite does it: a frame without a header is damage.
        try wal.write(append.header, at: 0)
        try wal.sync()
        walHeader = append.header
        walEnd = TablesTail.headerBytes
    }

    /// Writes the pages in the WAL to their places in the tables, as of its last commit.
    func copyBackWAL() throws {
        guard let pageBytes = TablesTail.pageBytes(walHeader) else { return }
        let frameBytes = TablesTail.frameHeaderBytes + pageBytes
        var pages = 0
        for start in stride(from: TablesTail.headerBytes, to: walEnd, by: frameBytes) {
            guard start + frameBytes <= walEnd else { break }
            let frame = try StoreBackup.bytes(of: wal, at: start, count: frameBytes)
            guard frame[8..<16] == walHeader[16..<24] else { break }
            let page = Self.word(frame, at: 0)
            let committed = Self.word(frame, at: 4)
            if committed > 0 { pages = committed }
            guard page > 0 else { throw Failure.outOfStep("the WAL has a frame of no page") }
            let bytes = Array(frame[TablesTail.frameHeaderBytes...])
            try tables.write(bytes, at: (page - 1) * pageBytes)
        }
        if pages > 0 { try tables.truncate(to: pages * pageBytes) }
        try tables.sync()
    }

    private static func word(_ bytes: [UInt8], at offset: Int) -> Int {
        bytes[offset..<offset + 4].reduce(0) { $0 << 8 | Int($1) }
    }

    // MARK: Segments

    /// The file of a segment, in the last folder that has it.
    func path(of segment: Int64) -> String? {
        let name = SegmentDirectory.fileName(segment)
        return segmentFolders.reversed().map { $0 + "/" + name }
            .first { DiskFile.owner(of: $0) != nil }
    }

    private func apply(
        _ growth: ReplicatedChange.SegmentGrowth, from primary: any PrimaryConnection
    ) throws {
        let name = SegmentDirectory.fileName(growth.extent.segment)
        let range = growth.extent.range
        let existing = path(of: growth.extent.segment)
        let path = existing ?? segmentFolders[segmentFolders.count - 1] + "/" + name
        let file = try DiskFile(path, for: .creatingIfAbsent)
        if growth.bytes.count == range.count {
            try file.write(growth.bytes, at: range.lowerBound)
        } else {
            for start in stride(from: range.lowerBound, to: range.upperBound, by: Self.fetchBytes) {
                let count = min(Self.fetchBytes, range.upperBound - start)
                guard try fetch(name, start..<start + count, into: file, from: primary) else {
                    break
                }
            }
        }
        try file.sync()
        if existing == nil { try DiskFile.syncDirectory(DiskFile.parent(of: path)) }
    }

    /// Returns false if the primary has no such bytes any more, and they are here: then the change
    /// is applied once more, and a later one has made them dead.
    private func fetch(
        _ name: String, _ range: Range<Int>, into file: DiskFile,
        from primary: any PrimaryConnection
    ) throws -> Bool {
        let bytes: [UInt8]?
        do throws(PrimaryError) {
            bytes = try primary.filePart(
                name, from: range.lowerBound, count: range.count, known: nil)
        } catch .refused(.fileMissing) {
            bytes = nil
        }
        if let bytes, bytes.count == range.count {
            try file.write(bytes, at: range.lowerBound)
            return true
        }
        guard try file.size() >= range.upperBound else {
            throw Failure.outOfStep("\(name) is gone on the primary")
        }
        return false
    }

    // MARK: Durability

    /// Returns when what was copied is durable.
    func syncCopied() throws {
        try tables.sync()
        for log in logs { try log.sync() }
    }

    /// Removes what the changes up to `number` have made useless. They must not be applied again.
    func cleanUp(through number: Int) {
        while let first = cleanups.first, first.number <= number {
            for segment in first.removed {
                for folder in segmentFolders {
                    try? DiskFile.remove(folder + "/" + SegmentDirectory.fileName(segment))
                }
            }
            for hole in first.holes {
                guard let path = path(of: hole.segment) else { continue }
                try? DiskFile(path, for: .writing).punchHole(hole.range)
            }
            cleanups.removeFirst()
        }
    }
}
