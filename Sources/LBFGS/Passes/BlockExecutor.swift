/// Runs the blocks of a pass over vectors, on as many threads as the calling program provides. The
/// engine itself has no threads.
///
/// What a block computes depends on the block alone, and the results of the blocks are added up in
/// their order when all are there. An executor can therefore not change a bit. All executors are
/// equal, and a snapshot does not hold one.
public struct BlockExecutor: Sendable, Equatable {
    /// The most bodies that run at the same time.
    public let width: Int
    private let run: @Sendable (_ count: Int, _ body: (_ worker: Int, _ index: Int) -> Void) -> Void

    /// Creates an executor.
    /// - Parameters:
    ///   - width: The most bodies that run at the same time; at least 1.
    ///   - run: Calls `body` once for each index in `0..<count`, in any order and on any threads,
    ///     and returns when all calls have returned. Bodies that run at the same time get different
    ///     workers in `0..<width`. What a body wrote must be visible to the caller afterwards.
    public init(
        width: Int,
        run: @escaping @Sendable (_ count: Int, _ body: (Int, Int) -> Void) -> Void
    ) {
        precondition(width >= 1, "an executor of width \(width)")
        self.width = width
        self.run = run
    }

    /// Runs one index after the other on the calling thread.
    public static let serial = BlockExecutor(width: 1) { count, body in
        for index in 0..<count { body(0, index) }
    }

    /// Always true, because results do not depend on the executor.
    public static func == (_: BlockExecutor, _: BlockExecutor) -> Bool { true }

    /// The fewest numbers that a pass has to read for another thread to be worth its wake-up.
    private static let numbersMin = 1 << 19
    /// Pieces for each thread, so that a thread that is preempted delays only a part of its share.
    private static let piecesEach = 4

    /// Calls `body` for ranges of consecutive blocks until it was called for all blocks.
    /// - Parameters:
    ///   - count: The numbers of each vector.
    ///   - streams: How many vectors the pass reads.
    ///   - longest: The most blocks of a range.
    ///   - isBackwards: Whether the last blocks are taken first.
    ///   - body: Called with a worker and a range of blocks.
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
