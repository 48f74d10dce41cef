import DiskLog
import Foundation
import Synchronization
import Testing

/// The segment log with an index in memory, in place of SQLite.
private struct IndexedSegments {
    var log: SegmentLog
    var sizes: [Int64: Int] = [:]

    init(
        _ path: String, sizes: [Int64: Int] = [:], bytesMax: Int = 1000,
        faults: WriteFaults? = nil
    ) throws {
        log = try SegmentLog(
            recovering: SegmentDirectory(path, faults: FaultInjection(faults: faults)),
            indexed: sizes.sorted { $0.key < $1.key }
                .map { SegmentLog.IndexedSegment(number: $0.key, size: $0.value) },
            bytesMax: bytesMax, lost: LostSegments(path + "-lost"))
        self.sizes = sizes
    }

    /// Appends the byte strings in one transaction.
    mutating func commit(_ strings: [[UInt8]]) throws -> [SegmentSlice] {
        var transaction = log
        do {
            let slices = try strings.map { try transaction.appendAll($0) }
            try transaction.sync()
            for segment in transaction.changes.segments {
                if let size = segment.newSize { sizes[segment.number] = size }
            }
            transaction.committed()
            log = transaction
            return slices
        } catch {
            transaction.discard(after: log)
            throw error
        }
    }
}

extension SegmentLog {
    fileprivate mutating func appendAll(_ bytes: [UInt8]) throws -> SegmentSlice {
        let place = try unsafe append { write in
            try unsafe bytes.withUnsafeBytes { try unsafe write($0) }
        }
        var sums = ChunkChecksums()
        // Sound: the buffer is used within the call.
        unsafe bytes.withUnsafeBytes { unsafe sums.add($0) }
        return SegmentSlice(
            directory: directory, segment: place.segment, offset: place.range.lowerBound,
            count: bytes.count, checksums: sums.finished())
    }
}

@Suite("Segments")
struct SegmentLogTests {
    private func files(_ directory: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: directory).sorted()
    }

    @Test("Byte strings are read back, and segments rotate between transactions")
    func rotation() throws {
        try withDirectory { directory in
            var segments = try IndexedSegments(directory)
            let first = try segments.commit([make(bytes: 700, 1), make(bytes: 700, 2)])
            let second = try segments.commit([make(bytes: 10, 3)])
            #expect(try files(directory) == ["000001.seg", "000002.seg"])
            #expect(segments.sizes == [1: 1400, 2: 10])
            #expect(try first[0].readAll() == make(bytes: 700, 1))
            #expect(try first[1].readAll() == make(bytes: 700, 2))
            #expect(try second[0].readAll() == make(bytes: 10, 3))
            let third = try IndexedSegments(directory, sizes: segments.sizes)
                .log.directory
            #expect(third.path(of: -3) == directory + "/000003.vec")
        }
    }

    @Test("What a crash left is gone after recovery, at every point of a write")
    func crashes() throws {
        try withDirectory { root in
            let live = root + "/live"
            try FileManager.default.createDirectory(
                atPath: live, withIntermediateDirectories: true)
            let copies = Mutex<[String]>([])
            var segments = try IndexedSegments(live, bytesMax: 500) { point in
                copies.withLock { copies in
                    copies.append(root + "/crash-\(copies.count)-\(point)")
                    try? copy(live, to: copies[copies.count - 1])
                }
                return 0
            }
            var committed: [(sizes: [Int64: Int], slices: [SegmentSlice], crashes: Int)] = []
            for number in 1...8 {
                let sizes = segments.sizes
                let slices = try segments.commit([make(bytes: 200, number)])
                committed.append((sizes, slices, copies.withLock { $0.count }))
            }
            var next = 0
            for (number, commit) in committed.enumerated() {
                for crash in copies.withLock({ $0[next..<commit.crashes] }) {
                    let recovered = try IndexedSegments(crash, sizes: commit.sizes)
                    for (segment, size) in commit.sizes {
                        let path = recovered.log.directory.path(of: segment)
                        #expect(try contents(path).count == size, "\(crash)")
                    }
                    #expect(try files(crash).count == commit.sizes.count, "\(crash)")
                    for (earlier, commit) in committed[..<number].enumerated() {
                        let slice = commit.slices[0]
                        let copy = SegmentSlice(
                            directory: recovered.log.directory, segment: slice.segment,
                            offset: slice.offset, count: slice.count, checksums: slice.checksums)
                        #expect(try copy.readAll() == make(bytes: 200, earlier + 1), "\(crash)")
                    }
                }
                next = commit.crashes
            }
        }
    }

    @Test("What a failed transaction wrote is truncated, and written over")
    func discarded() throws {
        try withDirectory { directory in
            let fails = Mutex(false)
            var segments = try IndexedSegments(directory) { point in
                point == .segmentSync && fails.withLock { $0 } ? ENOSPC : 0
            }
            _ = try segments.commit([make(bytes: 100, 1)])
            fails.withLock { $0 = true }
            #expect(throws: FileError.self) { _ = try segments.commit([make(bytes: 300, 2)]) }
            #expect(try contents(directory + "/000001.seg").count == 100)
            fails.withLock { $0 = false }
            let slices = try segments.commit([make(bytes: 50, 3)])
            #expect(slices[0].offset == 100)
            #expect(try slices[0].readAll() == make(bytes: 50, 3))
        }
    }

    @Test("A transaction's changes say what the index has to change")
    func changes() throws {
        try withDirectory { directory in
            var log = try IndexedSegments(directory).log
            _ = try log.appendAll(make(bytes: 40, 1))
            var writer = try SegmentWriter(-1, in: log.directory)
            try unsafe make(bytes: 10, 2).withUnsafeBytes { try unsafe writer.append($0) }
            log.adopt(try writer.finish())
            log.release(Extent(segment: 7, range: 5..<8))
            let changes = log.changes
            #expect(
                changes.segments.map { [Int($0.number), $0.liveBytes, $0.newSize ?? -1] }
                    == [[-1, 10, 10], [1, 40, 40], [7, -3, -1]])
            #expect(changes.released == [Extent(segment: 7, range: 5..<8)])
            #expect(changes.appendedTo == 1)
        }
    }

    @Test("A segment that is missing, short or wrong is reported, never returned")
    func damaged() throws {
        try withDirectory { directory in
            var segments = try IndexedSegments(directory)
            let slice = try segments.commit([make(bytes: 400, 1)])[0]
            let path = directory + "/000001.seg"
            try change(path) { $0[200] ^= 1 }
            #expect(throws: SegmentReadError.wrongChecksum(path: path, offset: 0)) {
                _ = try slice.readAll()
            }
            try change(path) { $0.removeLast() }
            #expect(throws: SegmentReadError.shortFile(path: path, offset: 0, count: 400)) {
                _ = try slice.readAll()
            }
            // A segment that is too short takes no more.
            var recovered = try IndexedSegments(directory, sizes: segments.sizes)
            #expect(try recovered.commit([[1]])[0].segment == 2)
            try DiskFile.remove(path)
            #expect(throws: SegmentReadError.missingFile(path: path)) {
                _ = try slice.readAll()
            }
        }
    }

    @Test(
        "A staged segment is read back, whatever its length",
        arguments: [0, 1, 4096, 524_288, 524_289, 4_194_304, 5_000_001])
    func staged(count: Int) throws {
        try withDirectory { path in
            let directory = SegmentDirectory(path, faults: FaultInjection(faults: nil))
            let bytes = [UInt8](repeating: 3, count: count / 2) + make(bytes: count - count / 2, 1)
            var writer = try SegmentWriter(-5, in: directory)
            for start in stride(from: 0, to: bytes.count, by: 70_000) {
                // Sound: the buffer is used within the call.
                try unsafe bytes[start..<min(start + 70_000, bytes.count)].withUnsafeBytes {
                    try unsafe writer.append($0)
                }
            }
            let slice = try writer.finish()
            #expect(slice.count == count)
            #expect(try slice.readAll() == bytes)
            #expect(try contents(path + "/000005.vec").count == count)
        }
    }
}
