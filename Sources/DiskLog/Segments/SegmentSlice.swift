import Dispatch
import Synchronization

/// Bytes of a segment that are not what was written there.
///
/// Either they were collected after the index was read, and the segment removed, truncated or
/// punched since: then reading the index again no longer finds them. Or they are lost.
package enum SegmentReadError: Error, Equatable, CustomStringConvertible {
    case missingFile(path: String)
    case shortFile(path: String, offset: Int, count: Int)
    case wrongChecksum(path: String, offset: Int)

    package var description: String {
        switch self {
        case .missingFile(let path): "\(path) is missing"
        case .shortFile(let path, let offset, let count):
            "\(path) ends before the \(count) bytes at \(offset)"
        case .wrongChecksum(let path, let offset):
            "\(path) doesn't match its checksum at \(offset)"
        }
    }
}

/// A byte string in a segment. Reading verifies the checksum of each chunk.
package struct SegmentSlice: Sendable {
    package let directory: SegmentDirectory
    package let segment: Int64
    package let offset: Int
    package let count: Int
    /// As `ChunkChecksums` gives them.
    package let checksums: [UInt8]

    package init(
        directory: SegmentDirectory, segment: Int64, offset: Int, count: Int, checksums: [UInt8]
    ) {
        self.directory = directory
        self.segment = segment
        self.offset = offset
        self.count = count
        self.checksums = checksums
    }

    private var path: String { directory.path(of: segment) }

    /// Throws unless the segment exists and is long enough. Called before memory is allocated for
    /// the bytes.
    package func checkLength() throws { _ = try open(isDirect: false) }

    package func readAll() throws -> [UInt8] {
        try checkLength()
        return try unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            // Sound: either all bytes are written, or this throws.
            try unsafe read(into: UnsafeMutableRawBufferPointer(buffer))
            initialized = count
        }
    }

    private func open(isDirect: Bool) throws -> DiskFile {
        do {
            let file =
                isDirect
                ? try DiskFile(directly: path, for: .reading) : try DiskFile(path, for: .reading)
            guard offset + count <= (try file.size()) else {
                throw SegmentReadError.shortFile(path: path, offset: offset, count: count)
            }
            return file
        } catch let error as FileError where error.isAbsent {
            throw SegmentReadError.missingFile(path: path)
        }
    }

    // MARK: Reading by chunks

    /// From this many chunks on, two threads read: while one waits for the disk, the other computes
    /// a checksum.
    private static let parallelChunksMin = 4

    /// Fills `buffer`, which has `count` bytes.
    package func read(into buffer: UnsafeMutableRawBufferPointer) throws {
        precondition(buffer.count >= count, "\(buffer.count) bytes are less than \(count)")
        let chunks = (count + ChunkChecksums.chunkBytes - 1) / ChunkChecksums.chunkBytes
        let isParallel = chunks >= Self.parallelChunksMin
        // Long byte strings are read once, so they bypass the page cache where they are aligned.
        let isDirect = isParallel && offset.isMultiple(of: DiskFile.blockBytes)
        let file = try open(isDirect: isDirect)
        guard checksums.count == 4 * chunks else { throw wrongChecksum }
        guard isParallel else {
            for chunk in 0..<chunks { try unsafe read(chunk, from: file, into: buffer, via: nil) }
            return
        }
        let next = Atomic(0)
        let failure = Mutex<(any Error)?>(nil)
        // Sound: both threads end before this call returns, and each chunk belongs to one of them.
        nonisolated(unsafe) let buffer = unsafe buffer
        DispatchQueue.concurrentPerform(iterations: 2) { _ in
            let aligned = file.isDirect ? directory.buffers.take() : nil
            defer { if let aligned { directory.buffers.giveBack(aligned) } }
            do {
                while failure.withLock({ $0 == nil }) {
                    let chunk = next.wrappingAdd(1, ordering: .relaxed).oldValue
                    guard chunk < chunks else { return }
                    try unsafe read(chunk, from: file, into: buffer, via: aligned)
                }
            } catch {
                failure.withLock { $0 = error }
            }
        }
        if let error = failure.withLock({ $0 }) { throw error }
    }

    /// - Parameter aligned: The destination of a direct read, which is copied from there.
    private func read(
        _ chunk: Int, from file: DiskFile, into buffer: UnsafeMutableRawBufferPointer,
        via aligned: AlignedBuffer?
    ) throws {
        let start = chunk * ChunkChecksums.chunkBytes
        let end = min(start + ChunkChecksums.chunkBytes, count)
        // Sound: `buffer` has `count` bytes.
        let destination = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[start..<end])
        var sums = ChunkChecksums()
        do {
            if let aligned {
                try unsafe aligned.withBlocks(holding: destination.count) { blocks in
                    try unsafe file.read(destination.count, into: blocks, at: offset + start)
                    // Sound: that many bytes have been read.
                    let read = unsafe UnsafeRawBufferPointer(
                        rebasing: blocks[..<destination.count])
                    unsafe sums.add(read)
                    unsafe destination.copyMemory(from: read)
                }
            } else {
                try unsafe file.read(destination.count, into: destination, at: offset + start)
                unsafe sums.add(UnsafeRawBufferPointer(destination))
            }
        } catch let error as FileError where error.isAbsent {
            throw SegmentReadError.shortFile(path: path, offset: offset, count: count)
        }
        guard sums.finished().elementsEqual(checksums[4 * chunk..<4 * chunk + 4]) else {
            throw wrongChecksum
        }
    }

    private var wrongChecksum: SegmentReadError { .wrongChecksum(path: path, offset: offset) }
}
