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
    /// Pieces for each thread, so that a thread that is held up delays the pass by a part only.
    private static let piecesEach = 4

    /// Calls `body` for consecutive blocks, up to `longest` of them, until all blocks of vectors of
    /// `count` numbers, of which `streams` are read, have had their turn. `isBackwards` takes the
    /// last ones first.
    @inline(__always)
    func forEachRange(
        of count: Int, streams: Int, longest: Int = 64, isBackwards: Bool = false,
        _ body: (_ worker: Int, _ blocks: Range<Int>) -> Void
    ) {
        let blocks = blockCount(count)
        let isSerial =
            width == 1 || blocks == 1 || count < BlockExecutor.numbersMin / max(1, streams)
        let piece =
            isSerial
            ? longest : min(longest, max(1, blocks / (width * BlockExecutor.piecesEach)))
        let pieces = (blocks + piece - 1) / piece
        func range(_ index: Int) -> Range<Int> {
            let first = (isBackwards ? pieces - 1 - index : index) * piece
            return first..<min(blocks, first + piece)
        }
        if isSerial {
            for index in 0..<pieces { body(0, range(index)) }
        } else {
            run(pieces) { worker, index in body(worker, range(index)) }
        }
    }

    /// Calls `body` for each block.
    @inline(__always)
    func forEachBlock(of count: Int, streams: Int, _ body: (_ worker: Int, _ block: Int) -> Void) {
        forEachRange(of: count, streams: streams) { worker, blocks in
            for block in blocks { body(worker, block) }
        }
    }
}
