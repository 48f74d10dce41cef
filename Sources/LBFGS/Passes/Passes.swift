// The passes over vectors that run block by block, as functions of arrays: they make room, take
// the addresses, hand the blocks to the executor and join the results in the order of the blocks.
// Each is compiled for both precisions.

/// What an evaluation's gradient looks like.
struct Inspection: Equatable {
    var isFinite: Bool
    /// ||g||_inf; of no meaning unless `isFinite`.
    var normInf: Double
    /// g.d; 0 without a direction.
    var slope: Double
}

/// What rode along with a new direction.
struct Combined: Equatable {
    /// g.d
    var slope: Double
    /// ||d||_inf; NaN if d is not finite.
    var normInf: Double
    var isTrialFinite: Bool
}

@inline(__always)
func blockCount(_ count: Int) -> Int { (count + blockLength - 1) / blockLength }

/// One pass over `gradient`, and over `direction` unless that is nil.
@specialized(where Scalar == Double)
@specialized(where Scalar == Float)
func inspect<Scalar: EngineScalar>(
    _ gradient: [Scalar], along direction: [Scalar]?, _ workspace: inout Workspace,
    on executor: BlockExecutor
) -> Inspection {
    typealias Pass = InspectionPass<Scalar>
    let count = gradient.count
    let blocks = blockCount(count)
    if let direction { precondition(direction.count == count) }
    unsafe workspace.sums.grow(to: Pass.sumsEach * blocks)
    // Sound: everything has the room that the pass asks for, and stays in its place until the
    // closures return; each block has memory of its own.
    unsafe withPointer(to: gradient) { gradient in
        unsafe withPointer(toOptional: direction) { direction in
            unsafe withRoom(&workspace.sums) { sums in
                let pass = unsafe Pass(
                    count: count, gradient: gradient, direction: direction, sums: sums)
                executor.forEachBlock(of: count, streams: 2) {
                    unsafe pass.run(worker: $0, block: $1)
                }
            }
        }
    }
    var result = Inspection(isFinite: true, normInf: 0, slope: 0)
    for block in 0..<blocks {
        let base = unsafe Pass.sumsEach * block
        result.slope += workspace.sums[base]
        result.normInf = max(result.normInf, workspace.sums[base + 1])
        if workspace.sums[base + 2] != 0 { result.isFinite = false }
    }
    return result
}

/// target = start + t direction; returns whether it is finite.
@specialized(where Scalar == Double)
@specialized(where Scalar == Float)
func move<Scalar: EngineScalar>(
    _ start: [Scalar], along direction: [Scalar], by stepLength: Double,
    into target: inout [Scalar], _ workspace: inout Workspace, on executor: BlockExecutor
) -> Bool {
    let count = start.count
    let blocks = blockCount(count)
    precondition(direction.count == count)
    makeRoom(for: count, in: &target)
    workspace.sums.grow(to: blocks)
    // Sound: as above.
    unsafe withPointers(start, direction) { start, direction in
        unsafe withRoom(&target, &workspace.sums) { target, sums in
            let pass = unsafe MovePass(
                count: count, start: start, direction: direction, stepLength: stepLength,
                target: target, sums: sums)
            executor.forEachBlock(of: count, streams: 3) {
                unsafe pass.run(worker: $0, block: $1)
            }
        }
    }
    for block in 0..<blocks where workspace.sums[block] != 0 { return false }
    return true
}

/// A step that was taken, of which a pair is to be made.
struct Step<Scalar: EngineScalar> {
    var previousGradient: [Scalar]
    var direction: [Scalar]
    var stepLength: Double
    var dtype: HistoryDType
}

/// The dot products of the pairs in the workspace's table with `gradient` and, if there is a step,
/// with its change of the gradient; the new pair is written to `octets`, whose size fits. The
/// results are in `workspace.dots`: four of each pair, those of the new pair last.
@specialized(where Scalar == Double)
@specialized(where Scalar == Float)
func project<Scalar: EngineScalar>(
    _ gradient: [Scalar], after step: Step<Scalar>?, writing octets: inout PairOctets,
    _ workspace: inout Workspace, on executor: BlockExecutor
) {
    typealias Pass = ProjectionPass<Scalar>
    let count = gradient.count
    let pairCount = workspace.pairCount
    let dotCount = unsafe (pairCount + 1) * Pass.dotsEach
    let blocks = blockCount(count)
    workspace.sums.grow(to: dotCount * blocks)
    unsafe workspace.scratch.grow(
        to: executor.width * Pass.scratchLength(count: count) + numbersPerLine)
    workspace.dots.grow(to: dotCount)
    if let step {
        precondition(step.direction.count == count && step.previousGradient.count == count)
        precondition(octets.count == 2 * count * step.dtype.size)
    }
    // Sound: everything has the room that the pass asks for, and stays in its place until the
    // closures return; each block and each worker has memory of its own.
    unsafe withPointer(to: gradient) { gradient in
        unsafe withPointer(toOptional: step?.previousGradient) { previousGradient in
            unsafe withPointer(toOptional: step?.direction) { direction in
                unsafe octets.withUnsafeMutableBytes { octets in
                    unsafe withPointer(to: workspace.table) { table in
                        unsafe withRoom(&workspace.sums, &workspace.scratch) { sums, room in
                            let scratch = unsafe lineAligned(room)
                            var newPair: Pass.NewPair?
                            if let step, let previousGradient = unsafe previousGradient,
                                let direction = unsafe direction,
                                let s = octets.baseAddress
                            {
                                unsafe newPair = Pass.NewPair(
                                    previousGradient: previousGradient, direction: direction,
                                    stepLength: step.stepLength, dtype: step.dtype, s: s,
                                    y: s + count * step.dtype.size)
                            }
                            let pass = unsafe Pass(
                                count: count, gradient: gradient, newPair: newPair, table: table,
                                pairCount: pairCount, sums: sums, scratch: scratch)
                            unsafe executor.forEachRange(
                                of: count, streams: 2 * pairCount + 5, longest: Pass.blocksMax
                            ) {
                                unsafe pass.run(worker: $0, blocks: $1)
                            }
                        }
                    }
                }
            }
        }
    }
    for index in 0..<dotCount { workspace.dots[index] = 0 }
    for block in 0..<blocks {
        for index in 0..<dotCount {
            workspace.dots[index] += workspace.sums[block * dotCount + index]
        }
    }
}

/// d = scale g + sum_i (a_i s_i + b_i y_i) into `direction`, with the workspace's table and
/// weights; and start + t d into `target`, if there is a `stepLength`.
@specialized(where Scalar == Double)
@specialized(where Scalar == Float)
func combine<Scalar: EngineScalar>(
    _ scale: Double, _ gradientValues: [Scalar], into direction: inout [Scalar],
    from start: [Scalar], by stepLength: Double?, to target: inout [Scalar],
    _ workspace: inout Workspace, on executor: BlockExecutor
) -> Combined {
    typealias Pass = CombinationPass<Scalar>
    let count = gradientValues.count
    let pairCount = workspace.pairCount
    let blocks = blockCount(count)
    makeRoom(for: count, in: &direction)
    if stepLength != nil {
        precondition(start.count == count)
        makeRoom(for: count, in: &target)
    }
    unsafe workspace.sums.grow(to: Pass.sumsEach * blocks)
    unsafe workspace.scratch.grow(
        to: executor.width * Pass.scratchLength(count: count) + numbersPerLine)
    precondition(workspace.stepWeights.count >= pairCount)
    precondition(workspace.changeWeights.count >= pairCount)
    // Sound: everything has the room that the pass asks for, and stays in its place until the
    // closures return; each block and each worker has memory of its own.
    unsafe withPointer(to: gradientValues) { gradient in
        unsafe withPointer(to: stepLength == nil ? gradientValues : start) { start in
            unsafe withRoom(&direction, &target) { direction, target in
                unsafe withPointer(to: workspace.table) { table in
                    unsafe withPointers(workspace.stepWeights, workspace.changeWeights) { a, b in
                        unsafe withRoom(&workspace.sums, &workspace.scratch) { sums, room in
                            let scratch = unsafe lineAligned(room)
                            var move: Pass.Move?
                            if let stepLength {
                                unsafe move = Pass.Move(
                                    start: start, stepLength: stepLength, target: target)
                            }
                            let pass = unsafe Pass(
                                count: count, gradient: gradient, scale: scale, table: table,
                                pairCount: pairCount, stepWeights: a, changeWeights: b,
                                direction: direction, move: move, sums: sums, scratch: scratch)
                            unsafe executor.forEachRange(
                                of: count, streams: 2 * pairCount + 4, longest: Pass.blocksMax,
                                isBackwards: true
                            ) {
                                unsafe pass.run(worker: $0, blocks: $1)
                            }
                        }
                    }
                }
            }
        }
    }
    var result = Combined(slope: 0, normInf: 0, isTrialFinite: true)
    var isFinite = true
    for block in 0..<blocks {
        let base = unsafe Pass.sumsEach * block
        result.slope += workspace.sums[base]
        result.normInf = max(result.normInf, workspace.sums[base + 1])
        if workspace.sums[base + 2] != 0 { isFinite = false }
        if workspace.sums[base + 3] != 0 { result.isTrialFinite = false }
    }
    if !isFinite { result.normInf = Scalar.normInf(direction) }
    return result
}

// MARK: - Room and addresses

/// Float64 numbers in a line of memory.
private let numbersPerLine = 8

/// `count` numbers and what is missing to whole lines.
@inline(__always)
func lineAligned(_ count: Int) -> Int { (count + numbersPerLine - 1) & ~(numbersPerLine - 1) }

/// The first line that begins in `room`, which has a line more than is needed.
@inline(__always)
private func lineAligned(_ room: UnsafeMutablePointer<Double>) -> UnsafeMutablePointer<Double> {
    // Sound: stays within the room, as said.
    unsafe UnsafeMutableRawPointer(room).alignedUp(toMultipleOf: 8 * numbersPerLine)
        .assumingMemoryBound(to: Double.self)
}

/// Makes `target` a vector of `count` numbers, whatever they are. One that is shared with another
/// array is copied when it is written to, as arrays are.
@inline(__always)
private func makeRoom<Scalar: EngineScalar>(for count: Int, in target: inout [Scalar]) {
    if target.count != count { target = [Scalar](repeating: 0, count: count) }
}

@inline(__always)
private func withPointer<Element>(
    toOptional array: [Element]?, _ body: (UnsafePointer<Element>?) -> Void
) {
    guard let array else { return body(nil) }
    unsafe array.withUnsafeBufferPointer { unsafe body($0.baseAddress) }
}

@inline(__always)
private func withPointer<Element>(
    to array: [Element], _ body: (UnsafePointer<Element>) -> Void
) {
    unsafe array.withUnsafeBufferPointer {
        // An empty array may have no address; a pass over nothing wants none.
        if let base = $0.baseAddress { unsafe body(base) }
    }
}

@inline(__always)
private func withPointers<Element>(
    _ first: [Element], _ second: [Element],
    _ body: (UnsafePointer<Element>, UnsafePointer<Element>) -> Void
) {
    unsafe withPointer(to: first) { first in
        unsafe withPointer(to: second) { second in unsafe body(first, second) }
    }
}

@inline(__always)
private func withRoom<Element>(
    _ array: inout [Element], _ body: (UnsafeMutablePointer<Element>) -> Void
) {
    unsafe array.withUnsafeMutableBufferPointer {
        if let base = $0.baseAddress { unsafe body(base) }
    }
}

@inline(__always)
private func withRoom<One, Two>(
    _ first: inout [One], _ second: inout [Two],
    _ body: (UnsafeMutablePointer<One>, UnsafeMutablePointer<Two>) -> Void
) {
    unsafe withRoom(&first) { first in
        unsafe withRoom(&second) { second in unsafe body(first, second) }
    }
}
