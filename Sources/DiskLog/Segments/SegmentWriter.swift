/// Writes a segment that holds one long byte string.
///
/// It writes with O_DIRECT through an aligned buffer: the bytes are not read again soon, and
/// allocating, writing back and reclaiming page cache for them took twice the processor time.
/// Writes are short, so that another thread's sync waits for at most one of them, and the final
/// sync has nothing left to write.
package struct SegmentWriter {
    private let number: Int64
    private let directory: SegmentDirectory
    private let file: DiskFile
    private let buffer: AlignedBuffer
    private var checksums = ChunkChecksums()
    /// Bytes in the buffer, and bytes in the file before them.
    private var buffered = 0
    private var written = 0

    /// The length of a write: long enough to keep the disk busy, short enough that others do not
    /// wait long behind it.
    private static let writeBytes = 512 << 10
    /// A piece is checksummed and then copied while it is in a core's cache.
    private static let pieceBytes = 256 << 10

    /// Creates the segment's file. The number must not have been used before.
    package init(_ number: Int64, in directory: SegmentDirectory) throws {
        self.number = number
        self.directory = directory
        file = try DiskFile(directly: directory.path(of: number), for: .creating)
        buffer = directory.buffers.take()
        try directory.faults.pass(.segmentWrite, file.path)
    }

    package mutating func append(_ region: UnsafeRawBufferPointer) throws {
        var start = 0
        while start < region.count {
            let count = min(region.count - start, Self.pieceBytes, Self.writeBytes - buffered)
            // Sound: the piece lies in the region.
            let piece = unsafe UnsafeRawBufferPointer(rebasing: region[start..<start + count])
            unsafe checksums.add(piece)
            unsafe buffer.copy(piece, to: buffered)
            buffered += count
            start += count
            if buffered == Self.writeBytes { try flush() }
        }
    }

    private mutating func flush() throws {
        try unsafe buffer.withBytes(buffered) { try unsafe file.write($0, at: written) }
        if !file.isDirect {
            // Paces the page cache's write-back as O_DIRECT would.
            file.beginWriting(written..<written + buffered)
            try file.awaitWriting(max(0, written - buffered)..<written)
        }
        written += buffered
        buffered = 0
    }

    /// Returns when the bytes and the file's name are durable. May be called once.
    package mutating func finish() throws -> SegmentSlice {
        let count = written + buffered
        if buffered > 0 {
            let whole = DiskFile.wholeBlocks(buffered)
            buffer.clear(buffered..<whole)
            try unsafe buffer.withBytes(whole) { try unsafe file.write($0, at: written) }
            try file.truncate(to: count)
        }
        directory.buffers.giveBack(buffer)
        try directory.faults.pass(.segmentSync, directory.path)
        let name = directory.directorySyncer.begin(directory.path)
        try file.sync()
        try name.wait()
        return SegmentSlice(
            directory: directory, segment: number, offset: 0, count: count,
            checksums: checksums.finished())
    }
}
