import DiskLog
import Foundation
import SessionModel

/// A copy of a primary's store that is being made in the folder `base` of a standby's directory.
///
/// The primary goes on meanwhile, so what is copied is of no one moment. That is put right by the
/// changes from the beginning of the copy on, which are applied while it is made: the first of them
/// is the whole of SQLite's WAL, and from then on each page that changes in the tables is in a
/// change, and each byte of the log. So the copy is as of a commit when the changes up to its end
/// have been applied. Then the tables say which bytes of segments are needed.
///
/// What the directory has already is not sent again: parts of the tables by their digests, bytes of
/// segments by their checksums.
struct StandbyBase {
    private let directory: String
    private let base: String
    private let standby: String
    private let term: Int
    private let files: ReplicaFiles
    var willCopy: () -> Void = {}
    /// Called with the number of blobs that are damaged on the primary.
    var foundDamage: (Int) -> Void = { _ in }

    private static let pullInterval = Duration.milliseconds(500)
    private static let attemptsMax = 3

    init(in directory: String, standby: String, term: Int) throws {
        self.directory = directory
        base = directory + "/base"
        self.standby = standby
        self.term = term
        let files = FileManager.default
        if files.fileExists(atPath: base) { try files.removeItem(atPath: base) }
        try DiskFile.makeDirectory(base)
        try DiskFile.makeDirectory(directory + "/segments")
        self.files = try ReplicaFiles(
            in: base, segmentFolders: [directory + "/segments", base + "/segments"])
    }

    /// Where the copy is, and what it asks.
    private struct Pull {
        let primary: any PrimaryConnection
        let feed: String
        var position: StandbyPosition
        var pulledAt = ContinuousClock.now
    }

    /// Makes the copy, durably. Returns the primary's term.
    func make(from primary: any PrimaryConnection) throws -> Int {
        let began = try primary.beginBase(standby: standby, term: term)
        guard let first = began.standby?.acknowledged, began.term >= term else {
            throw PrimaryError.rejected(
                "the primary's term is \(began.term), and this standby knows of \(term): another "
                    + "store was promoted")
        }
        willCopy()
        var pull = Pull(
            primary: primary, feed: began.feed,
            position: StandbyPosition(
                feed: began.feed, number: first,
                microseconds: Int64(Date().timeIntervalSince1970 * 1e6)))
        try copy("lbfgsd.sqlite", like: directory + "/lbfgsd.sqlite", &pull) { bytes, offset in
            try files.placeTables(bytes, at: offset)
        }
        for (index, name) in ["1.log", "2.log"].enumerated() {
            try copy(name, like: directory + "/journal/" + name, &pull) { bytes, offset in
                try files.placeLog(index, bytes, at: offset)
            }
        }
        try takeAll(&pull)
        try copySegments(&pull)
        try complete(pull.position)
        return began.term
    }

    // MARK: Changes

    /// Takes changes from time to time, so that the primary need not keep many.
    private func takeIfDue(_ pull: inout Pull) throws {
        if ContinuousClock.now - pull.pulledAt > Self.pullInterval { try take(&pull) }
    }

    /// Takes all changes that were made until now.
    private func takeAll(_ pull: inout Pull) throws {
        let end = try pull.primary.status().change
        while pull.position.number < end { try take(&pull) }
    }

    private func take(_ pull: inout Pull) throws {
        let answer = try pull.primary.changes(
            after: pull.position.number, of: pull.feed, standby: standby, term: term,
            isCopying: true, waitSeconds: 0)
        guard let changes = NumberedChange.decode(answer) else {
            throw PrimaryError.unreachable("the changes were damaged on the way")
        }
        for change in changes {
            guard change.number == pull.position.number + 1 else {
                throw ReplicaFiles.Failure.outOfStep("a change is missing")
            }
            try files.apply(change, from: pull.primary) {}
            pull.position.number = change.number
            pull.position.microseconds = change.microseconds
        }
        pull.pulledAt = .now
    }

    // MARK: The tables and the log

    private func copy(
        _ name: String, like path: String, _ pull: inout Pull,
        _ place: ([UInt8], Int) throws -> Void
    ) throws {
        let former = try? DiskFile(path, for: .reading)
        let step = ReplicaFiles.fetchBytes
        var offset = 0
        while true {
            let known = former.flatMap { file -> [UInt8]? in
                guard let size = try? file.size(), size > offset else { return nil }
                return try? StoreBackup.bytes(of: file, at: offset, count: min(step, size - offset))
            }
            let sent = try pull.primary.filePart(name, from: offset, count: step, known: known)
            let bytes = sent ?? known ?? []
            if !bytes.isEmpty { try place(bytes, offset) }
            offset += bytes.count
            try takeIfDue(&pull)
            guard bytes.count == step else { return }
        }
    }

    // MARK: Segments

    private func copySegments(_ pull: inout Pull) throws {
        let hasFormer = FileManager.default.fileExists(atPath: directory + "/lbfgsd.sqlite")
        let former = hasFormer ? try? Self.index(of: directory) : nil
        var open: Set<Int64>?
        var damaged: Set<Int64> = []
        for _ in 0..<Self.attemptsMax {
            let index = try Self.index(of: base)
            var failed: Set<Int64> = []
            var missing: Set<Int64> = []
            for segment in index.segments where open?.contains(segment.number) ?? true {
                let blobs = index.blobs[segment.number] ?? [:]
                let lacking = try copy(
                    segment, blobs, former: former?.blobs[segment.number], damaged: damaged, &pull)
                if !lacking.isEmpty { failed.insert(segment.number) }
                missing.formUnion(lacking)
            }
            if failed.isEmpty {
                let present = Set(index.blobs.values.flatMap(\.keys))
                let count = damaged.intersection(present).count
                if count > 0 || !index.isWhole { foundDamage(count) }
                return
            }
            // Some bytes may have become dead meanwhile; then the tables do not name them now. If
            // they still do, the bytes are damaged on the primary, since they never change while
            // something names them. They are copied as they are: their session is refused here as
            // it is there, and no other.
            try takeAll(&pull)
            open = failed
            damaged.formUnion(missing)
        }
        throw ReplicaFiles.Failure.outOfStep("segments change too fast to be copied")
    }

    private static func index(of directory: String) throws -> StoreBackup.Index {
        defer { try? DiskFile.remove(directory + "/lbfgsd.sqlite-shm") }
        return try StoreBackup.index(of: directory, skipsDamage: true)
    }

    /// Returns the blobs of the segment that are not here.
    /// - Parameter damaged: Blobs whose bytes are taken whatever their checksums are.
    private func copy(
        _ segment: SegmentRow, _ blobs: StoreBackup.Blobs, former: StoreBackup.Blobs?,
        damaged: Set<Int64>, _ pull: inout Pull
    ) throws -> Set<Int64> {
        let name = "/segments/" + SegmentDirectory.fileName(segment.number)
        let present = try? DiskFile(directory + name, for: .reading)
        let isCopied = DiskFile.owner(of: base + name) != nil
        if !isCopied, let present, try present.size() >= segment.size {
            if let former, StoreBackup.isContained(blobs, in: former) { return [] }
            if blobs.values.allSatisfy({ blob in
                Self.pieces(of: blob).allSatisfy { Self.read($0, from: present) != nil }
            }) {
                return []
            }
        }
        let copy = try DiskFile(base + name, for: .creatingIfAbsent)
        var missing: Set<Int64> = []
        for blob in blobs.values.sorted(by: { $0.id < $1.id }) {
            for piece in Self.pieces(of: blob) where Self.read(piece, from: copy) == nil {
                try takeIfDue(&pull)
                if let bytes = present.flatMap({ Self.read(piece, from: $0) }) {
                    try copy.write(bytes, at: piece.range.lowerBound)
                    continue
                }
                let bytes = try Self.fetch(piece, of: segment.number, from: pull.primary)
                if Self.isRight(bytes, piece) || damaged.contains(blob.id) {
                    try copy.write(bytes, at: piece.range.lowerBound)
                } else {
                    missing.insert(blob.id)
                }
            }
        }
        if try copy.size() < segment.size { try copy.truncate(to: segment.size) }
        try copy.sync()
        return missing
    }

    /// A MiB of a blob, or its last part.
    private struct Piece {
        var range: Range<Int>
        var checksum: ArraySlice<UInt8>
    }

    private static func pieces(of blob: BlobRow) -> [Piece] {
        guard let place = blob.place else { return [] }
        let chunk = ChunkChecksums.chunkBytes
        return stride(from: 0, to: blob.length, by: chunk).enumerated().map { number, start in
            let first = place.range.lowerBound + start
            return Piece(
                range: first..<first + min(chunk, blob.length - start),
                checksum: blob.checksums.dropFirst(4 * number).prefix(4))
        }
    }

    private static func isRight(_ bytes: [UInt8], _ piece: Piece) -> Bool {
        guard bytes.count == piece.range.count else { return false }
        var checksum: [UInt8] = []
        checksum.appendLittleEndian(CRC32C.checksum(bytes))
        return checksum[...] == piece.checksum
    }

    private static func read(_ piece: Piece, from file: DiskFile) -> [UInt8]? {
        let bytes = try? StoreBackup.bytes(
            of: file, at: piece.range.lowerBound, count: piece.range.count)
        return bytes.flatMap { isRight($0, piece) ? $0 : nil }
    }

    /// What the primary has there; fewer bytes, or none, where its file ends.
    private static func fetch(
        _ piece: Piece, of segment: Int64, from primary: any PrimaryConnection
    ) throws(PrimaryError) -> [UInt8] {
        do throws(PrimaryError) {
            return try primary.filePart(
                SegmentDirectory.fileName(segment), from: piece.range.lowerBound,
                count: piece.range.count, known: nil) ?? []
        } catch .refused(.fileMissing) {
            return []
        }
    }

    // MARK: Taking the place of what was there

    private static let completeMark = "/base/complete"
    private static let names = [
        "lbfgsd.sqlite", "lbfgsd.sqlite-wal", "journal/1.log", "journal/2.log", "position",
    ]

    private func complete(_ position: StandbyPosition) throws {
        try files.syncCopied()
        let file = try DiskFile(base + "/position", for: .creating)
        try position.write(to: file)
        try file.sync()
        try DiskFile.syncDirectory(base + "/segments")
        let mark = try DiskFile(directory + Self.completeMark, for: .creating)
        try mark.sync()
        try DiskFile.syncDirectory(base)
        try DiskFile.syncDirectory(directory)
    }

    /// Moves the files of a complete copy to their places. Also what an interrupted call has left.
    static func takePlace(in directory: String) throws {
        let files = FileManager.default
        let base = directory + "/base"
        guard files.fileExists(atPath: directory + completeMark) else { return }
        for folder in ["/journal", "/segments"] { try DiskFile.makeDirectory(directory + folder) }
        for name in try files.contentsOfDirectory(atPath: base + "/segments") {
            try DiskFile.rename(base + "/segments/" + name, to: directory + "/segments/" + name)
        }
        // The WAL's index is of the WAL before.
        if files.fileExists(atPath: directory + "/lbfgsd.sqlite-shm") {
            try DiskFile.remove(directory + "/lbfgsd.sqlite-shm")
        }
        for name in names where files.fileExists(atPath: base + "/" + name) {
            try DiskFile.rename(base + "/" + name, to: directory + "/" + name)
        }
        for folder in ["/journal", "/segments", ""] {
            try DiskFile.syncDirectory(directory + folder)
        }
        try DiskFile.remove(directory + completeMark)
        try DiskFile.syncDirectory(base)
        try files.removeItem(atPath: base)
    }

    /// Removes the segments that the store had before the copy, and has no more.
    static func removeUnnamedSegments(in directory: String) throws {
        let index = try index(of: directory)
        // A damaged row may be that of any segment.
        guard index.isWhole else { return }
        let named = Set(index.segments.map(\.number))
        for name in try FileManager.default.contentsOfDirectory(atPath: directory + "/segments") {
            guard let number = SegmentDirectory.number(ofFile: name), !named.contains(number) else {
                continue
            }
            try DiskFile.remove(directory + "/segments/" + name)
        }
    }
}
