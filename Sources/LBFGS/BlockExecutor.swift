/// Runs the blocks of a pass over vectors, on as many threads as the program that uses the engine
/// wants to give it. The engine itself knows no threads.
///
/// What a block computes depends on nothing but the block, and the results of blocks are joined in
/// their order by whoever began the pass: an executor can't change a bit. So all executors are
/// equal, and a snapshot has none.
public struct BlockExecutor: Sendable, Equatable {
    /// Bodies that run at the same time, at most.
    public let width: Int
    private let run: @Sendable (_ count: Int, _ body: (_ worker: Int, _ index: Int) -> Void) -> Void

    /// - Parameters:
    ///   - width: Bodies that run at the same time, at most; at least 1.
    ///   - run: Calls `body` once for each index in `0..<count`, in any order, on any threads, and
    ///     returns when all calls have. Bodies that run at the same time are given different
    ///     workers, in `0..<width`. What a body wrote must be visible to the caller afterwards.
    public init(
        width: Int,
        run: @escaping @Sendable (_ count: Int, _ body: (Int, Int) -> Void) -> Void
    ) {
        precondition(width >= 1, "an executor of width \(width)")
        self.width = width
        self.run = run
    }

    /// One index after the other, on the caller's thread.
    public static let serial = BlockExecutor(width: 1) { count, body in
        for index in 0..<count { body(0, index) }
    }

    public static func == (_: BlockExecutor, _: BlockExecutor) -> Bool { true }

    /// Numbers of memory that a pass has to read before it is worth waking another thread.
    private static let numbersMin = 1 << 19
    /// Blocks handed out at once, at most: 2 MiB of each Float64 vector.
    private static let blocksMax = 64
    /// Pieces for each thread, so that a thread that is held up delays the pass by a part only.
    private static let piecesEach = 4

    /// Calls `body` for each block of vectors of `count` numbers, of which `streams` are read.
    @inline(__always)
    func forEachBlock(of count: Int, streams: Int, _ body: (_ worker: Int, _ block: Int) -> Void) {
        let blocks = blockCount(count)
        if width == 1 || blocks == 1
            || count < BlockExecutor.numbersMin / max(1, streams)
        {
            for block in 0..<blocks { body(0, block) }
            return
        }
        let piece = min(
            BlockExecutor.blocksMax, max(1, blocks / (width * BlockExecutor.piecesEach)))
        run((blocks + piece - 1) / piece) { worker, index in
            for block in index * piece..<min(blocks, (index + 1) * piece) { body(worker, block) }
        }
    }
}
