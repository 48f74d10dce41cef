import LBFGS
import Parallel
import TestKit
import Testing

private func executor(_ width: Int) -> BlockExecutor {
    BlockExecutor(width: width) { count, body in forEachIndex(count, width: width, body) }
}

/// Runs all indices backwards, with workers in rotation.
private let backwards = BlockExecutor(width: 3) { count, body in
    for index in (0..<count).reversed() { body(index % 3, index) }
}

private func numbers(_ count: Int, seed: UInt64) -> [Double] {
    var generator = SplitMix64(state: seed)
    return (0..<count).map { _ in Double.random(in: -1...1, using: &generator) }
}

/// The points at which a few iterations evaluate, and the pairs at the end.
private func points<Scalar: EngineScalar>(
    _: Scalar.Type, count: Int, _ executor: BlockExecutor, _ options: Options
) throws -> ([[Scalar]], [CurvaturePair<Scalar>]) {
    let scales = numbers(count, seed: 7).map { 1.5 + $0 }
    var optimizer = try Optimizer(numbers(count, seed: 8).map { Scalar($0) }, options: options)
    optimizer.executor = executor
    var points: [[Scalar]] = []
    optimizer.step { point in
        points.append(point)
        var loss = 0.0
        var gradient: [Scalar] = []
        for (value, scale) in zip(point, scales) {
            loss += scale * Double(value) * Double(value) / 2
            gradient.append(Scalar(scale) * value)
        }
        return (loss, gradient)
    }
    return (points, optimizer.snapshot.pairs)
}

struct BlockExecutorTests {
    /// Sizes around the boundaries of blocks, strips and lanes, and of the pieces that are handed
    /// to a thread.
    static let sizes =
        [1, 15, 17, 511, 512, 513, 4095, 4096, 4097, 8191, 8192, 8193]
        + [15 * 4096 - 1, 16 * 4096 + 1, 40 * 4096, 64 * 4096 - 1, 65 * 4096 + 9]

    @Test(arguments: sizes)
    func `two threads, or blocks in any order, give the bits of one`(count: Int) throws {
        for search in [Options.LineSearchFunction?.none, .strongWolfe] {
            let options = Options(
                maxIterations: 9, toleranceChange: 0, historySize: 5, lineSearch: search)
            let one = try points(Double.self, count: count, .serial, options)
            for other in [executor(2), executor(5), backwards] {
                #expect(try points(Double.self, count: count, other, options) == one)
            }
            let narrow = try points(Float.self, count: count, .serial, options)
            #expect(try points(Float.self, count: count, executor(2), options) == narrow)
        }
    }

    @Test func `each index runs once, with a worker of its own`() {
        for (count, width) in [(0, 2), (1, 2), (7, 2), (1000, 4)] {
            // Each index has a number of its own, to which each worker adds its own value.
            let places = UnsafeMutablePointer<Int>.allocate(capacity: max(1, count))
            unsafe places.initialize(repeating: 0, count: max(1, count))
            forEachIndex(count, width: width) { worker, index in
                unsafe places[index] += 1 + 1000 * worker
            }
            for index in 0..<count {
                let value = unsafe places[index]
                #expect(value % 1000 == 1 && value / 1000 < width)
            }
            unsafe places.deallocate()
        }
    }

    @Test func `helpers run each index once, also when many passes want them`() async {
        let helpers = BackgroundHelperThreads(threads: 1)
        await withTaskGroup(of: Int.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    let places = UnsafeMutablePointer<Int>.allocate(capacity: 1000)
                    defer { unsafe places.deallocate() }
                    unsafe places.initialize(repeating: 0, count: 1000)
                    for _ in 0..<50 {
                        // Each index has a number of its own, which only one thread changes in a
                        // pass.
                        helpers.forEachIndex(1000) { _, index in unsafe places[index] += 1 }
                    }
                    return (0..<1000).count { index in unsafe places[index] == 50 }
                }
            }
            for await right in group { #expect(right == 1000) }
        }
    }
}
