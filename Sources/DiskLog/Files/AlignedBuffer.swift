import Synchronization

/// A buffer aligned to, and sized in multiples of, the disk's block size, as O_DIRECT requires.
@safe
package final class AlignedBuffer: Sendable {
    /// The length of a chunk, which is the unit of checked reads, and no less than the unit of
    /// writes.
    package static let byteCount = ChunkChecksums.chunkBytes

    /// Sound: a buffer has one owner at a time.
    nonisolated(unsafe) private let bytes: UnsafeMutableRawBufferPointer

    package init() {
        unsafe bytes = .allocate(
            byteCount: Self.byteCount, alignment: DiskFile.blockBytes)
    }

    deinit { unsafe bytes.deallocate() }

    package func copy(_ piece: UnsafeRawBufferPointer, to start: Int) {
        precondition(start + piece.count <= Self.byteCount, "the piece ends beyond the buffer")
        // Sound: the piece fits.
        unsafe UnsafeMutableRawBufferPointer(rebasing: bytes[start...]).copyMemory(from: piece)
    }

    package func clear(_ range: Range<Int>) {
        precondition(range.upperBound <= Self.byteCount, "\(range) ends beyond the buffer")
        // Sound: the range lies in the buffer.
        unsafe UnsafeMutableRawBufferPointer(rebasing: bytes[range])
            .initializeMemory(as: UInt8.self, repeating: 0)
    }

    /// The first `count` bytes, which must have been copied or cleared before.
    package func withBytes(
        _ count: Int, _ body: (UnsafeRawBufferPointer) throws -> Void
    ) rethrows {
        precondition(count <= Self.byteCount, "\(count) bytes are more than the buffer holds")
        // Sound: the bytes lie in the buffer and are used within the call.
        try unsafe body(UnsafeRawBufferPointer(rebasing: bytes[..<count]))
    }

    /// The blocks that hold the first `count` bytes.
    package func withBlocks(
        holding count: Int, _ body: (UnsafeMutableRawBufferPointer) throws -> Void
    ) rethrows {
        let whole = DiskFile.wholeBlocks(count)
        precondition(whole <= Self.byteCount, "\(count) bytes are more than the buffer holds")
        // Sound: the blocks lie in the buffer and are used within the call.
        try unsafe body(UnsafeMutableRawBufferPointer(rebasing: bytes[..<whole]))
    }
}

/// Keeps a few aligned buffers for reuse. Allocated anew among large vectors, they would keep the
/// allocator from returning the vectors' memory to the system.
package final class AlignedBufferPool: Sendable {
    private static let keptMax = 4
    private let kept = Mutex<[AlignedBuffer]>([])

    package init() {}

    package func take() -> AlignedBuffer {
        kept.withLock { $0.popLast() } ?? AlignedBuffer()
    }

    /// The caller must not use the buffer afterwards.
    package func giveBack(_ buffer: AlignedBuffer) {
        kept.withLock { if $0.count < Self.keptMax { $0.append(buffer) } }
    }
}
