import Synchronization

/// Memory that begins at a block, and has whole ones. A few stay, for the next segments: taken from
/// the allocator, among vectors, they would keep it from giving theirs back.
@safe
final class BlockRoom: Sendable {
    /// What is read at a time, and no less than what is written at a time.
    static let bytesMax = PreparedBytes.chunkBytes
    private static let keptMax = 4
    private static let kept = Mutex<[BlockRoom]>([])

    /// Sound: of one owner at a time.
    nonisolated(unsafe) private let bytes: UnsafeMutableRawBufferPointer

    static func taken() -> BlockRoom {
        kept.withLock { $0.popLast() } ?? BlockRoom()
    }

    /// Whoever took it has come to the end.
    func giveBack() {
        Self.kept.withLock { if $0.count < Self.keptMax { $0.append(self) } }
    }

    private init() {
        unsafe bytes = .allocate(byteCount: Self.bytesMax, alignment: DiskFile.blockBytes)
    }

    deinit { unsafe bytes.deallocate() }

    var count: Int { unsafe bytes.count }

    func copy(_ piece: UnsafeRawBufferPointer, to start: Int) {
        precondition(start + piece.count <= count)
        // Sound: the piece fits.
        unsafe UnsafeMutableRawBufferPointer(rebasing: bytes[start...]).copyMemory(from: piece)
    }

    func clear(_ range: Range<Int>) {
        precondition(range.upperBound <= count)
        // Sound: within the room.
        unsafe UnsafeMutableRawBufferPointer(rebasing: bytes[range])
            .initializeMemory(as: UInt8.self, repeating: 0)
    }

    /// - Precondition: so many have been copied or cleared.
    func withBytes(_ count: Int, _ body: (UnsafeRawBufferPointer) throws -> Void) rethrows {
        precondition(count <= self.count)
        // Sound: within the room, and used within the call.
        try unsafe body(UnsafeRawBufferPointer(rebasing: bytes[..<count]))
    }

    /// Of `count` bytes at least, by whole blocks.
    func withBlocks(
        holding count: Int, _ body: (UnsafeMutableRawBufferPointer) throws -> Void
    ) rethrows {
        let whole = DiskFile.wholeBlocks(count)
        precondition(whole <= self.count)
        // Sound: within the room, and used within the call.
        try unsafe body(UnsafeMutableRawBufferPointer(rebasing: bytes[..<whole]))
    }
}
