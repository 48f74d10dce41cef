// The passes over vectors that run block by block, as functions of arrays. Each makes its outputs
// and scratch memory long enough, takes the addresses, hands the blocks to the executor, and adds
// up the results in the order of the blocks. Each is compiled for both precisions.
//
// The closures are nested as deeply as there are arrays, because `withUnsafeBufferPointer` is the
// only way to an array's address. Spans would flatten them, but the kernels were measured with
// pointers.

/// What the optimizer has to know of an evaluation's gradient.
struct Inspection: Equatable {
    var isFinite: Bool
    /// ||g||_inf; meaningless unless `isFinite`.
    var normInf: Double
    /// g.d; 0 if there is no direction.
    var slope: Double
}

/// What was computed along with a new direction.
struct Combined: Equatable {
    /// g.d
    var slope: Double
    /// ||d||_inf; NaN if d is not finite.
    var normInf: Double
    var isTrialFinite: Bool
}

@inline(__always)
func blockCount(_ count: Int) -> Int { (count + blockLength - 1) / blockLength }

/// Inspects a gradient in one pass over it, and over `direction` unless that is nil. O(n).
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
    // Sound: all arrays are as long as the pass requires, and stay in place until the closures
    // return; each block writes memory of its own.
    unsafe withPointer(to: gradient) { gradient in
        unsafe withPointer(toOptional: direction) { direction in
            unsafe withMutablePointer(to: &workspace.sums) { sums in
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

/// target = start + t direction. Returns whether it is finite. O(n).
@specialized(where Scalar == Double)
@specialized(where Scalar == Float)
func computeTrialPoint<Scalar: EngineScalar>(
    _ start: [Scalar], along direction: [Scalar], by stepLength: Double,
    into target: inout [Scalar], _ workspace: inout Workspace, on executor: BlockExecutor
) -> Bool {
    let count = start.count
    let blocks = blockCount(count)
    precondition(direction.count == count)
    resize(&target, to: count)
    workspace.sums.grow(to: blocks)
    // Sound: as above.
    unsafe withPointers(start, direction) { start, direction in
        unsafe withMutablePointers(&target, &workspace.sums) { target, sums in
            let pass = unsafe TrialPointPass(
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

/// A step of which a curvature pair is to be formed: s = t d and y = g - g_previous.
///
/// s is computed as t d and not as x+ - x. The two differ in their last bits, since x+ = x + t d
/// was rounded, and recorded runs depend on the former (as does torch, which does the same). On a
/// path that is not straight, P(x + t d) with bounds, t d is not the step: the direction is then
/// x+ - x, with a `stepLength` of 1.
struct CurvatureStep<Scalar: EngineScalar> {
    var previousGradient: [Scalar]
    var direction: [Scalar]
    var stepLength: Double
    var dtype: HistoryDType
}

/// Computes the dot products of the pairs in the workspace's table with `gradient` and, if there is
/// a step, with the change of the gradient along it. The step's pair is written to `storage`, which
/// must have its size. The results are in `workspace.dots`: four for each pair, those of the new
/// pair last. O(m n).
@specialized(where Scalar == Double)
@specialized(where Scalar == Float)
func computeDotProducts<Scalar: EngineScalar>(
    _ gradient: [Scalar], after step: CurvatureStep<Scalar>?, writing storage: inout PairStorage,
    _ workspace: inout Workspace, on executor: BlockExecutor
) {
    typealias Pass = DotProductPass<Scalar>
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
        precondition(storage.count == 2 * count * step.dtype.size)
    }
    // Sound: all arrays are as long as the pass requires, and stay in place until the closures
    // return; each block and each worker writes memory of its own.
    unsafe withPointers(gradient, step?.previousGradient, step?.direction) {
        gradient, previousGradient, direction in
        unsafe withPointers(to: &storage, workspace.table) { octets, table in
            unsafe withMutablePointers(&workspace.sums, &workspace.scratch) { sums, scratch in
                let scratch = unsafe lineAligned(scratch)
                var newPair: Pass.NewPair?
                if let step, let previousGradient = unsafe previousGradient,
                    let direction = unsafe direction, let s = unsafe octets
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
    for index in 0..<dotCount { workspace.dots[index] = 0 }
    for block in 0..<blocks {
        for index in 0..<dotCount {
            workspace.dots[index] += workspace.sums[block * dotCount + index]
        }
    }
}

/// Writes d = scale g + sum_i (a_i s_i + b_i y_i) to `direction`, with the workspace's table and
/// weights, and start + t d to `target` if there is a `stepLength`. O(m n).
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
    resize(&direction, to: count)
    if stepLength != nil {
        precondition(start.count == count)
        resize(&target, to: count)
    }
    unsafe workspace.sums.grow(to: Pass.sumsEach * blocks)
    unsafe workspace.scratch.grow(
        to: executor.width * Pass.scratchLength(count: count) + numbersPerLine)
    precondition(workspace.stepWeights.count >= pairCount)
    precondition(workspace.changeWeights.count >= pairCount)
    // Sound: all arrays are as long as the pass requires, and stay in place until the closures
    // return; each block and each worker writes memory of its own.
    unsafe withPointers(gradientValues, stepLength == nil ? gradientValues : start) {
        gradient, start in
        unsafe withMutablePointers(&direction, &target) { direction, target in
            unsafe withPointers(
                workspace.table, workspace.stepWeights, workspace.changeWeights
            ) { table, a, b in
                unsafe withMutablePointers(&workspace.sums, &workspace.scratch) { sums, scratch in
                    let scratch = unsafe lineAligned(scratch)
                    var trialPoint: Pass.TrialPoint?
                    if let stepLength {
                        unsafe trialPoint = Pass.TrialPoint(
                            start: start, stepLength: stepLength, target: target)
                    }
                    let pass = unsafe Pass(
                        count: count, gradient: gradient, scale: scale, table: table,
                        pairCount: pairCount, stepWeights: a, changeWeights: b,
                        direction: direction, trialPoint: trialPoint, sums: sums, scratch: scratch)
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

// MARK: - Addresses

/// Float64 numbers in a cache line.
let numbersPerLine = 8

/// `count`, rounded up to whole cache lines.
@inline(__always)
func lineAligned(_ count: Int) -> Int { (count + numbersPerLine - 1) & ~(numbersPerLine - 1) }

/// The first address in `scratch` at which a cache line begins. The scratch memory is one line
/// longer than required, to allow for it.
@inline(__always)
func lineAligned(_ scratch: UnsafeMutablePointer<Double>) -> UnsafeMutablePointer<Double> {
    // Sound: stays within the additional line.
    unsafe UnsafeMutableRawPointer(scratch).alignedUp(toMultipleOf: 8 * numbersPerLine)
        .assumingMemoryBound(to: Double.self)
}

/// Gives `target` a length of `count` numbers, with any values. If it shares its memory with
/// another array it is copied at the first write, as always.
@inline(__always)
private func resize<Scalar: EngineScalar>(_ target: inout [Scalar], to count: Int) {
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
        // An empty array may have no address; there is nothing to do for it.
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
private func withPointers<One, Two>(
    _ first: [One], _ second: [Two], _ third: [Two],
    _ body: (UnsafePointer<One>, UnsafePointer<Two>, UnsafePointer<Two>) -> Void
) {
    unsafe withPointer(to: first) { first in
        unsafe withPointers(second, third) { second, third in unsafe body(first, second, third) }
    }
}

/// The optional arrays have no address where they are nil.
@inline(__always)
private func withPointers<Element>(
    _ first: [Element], _ second: [Element]?, _ third: [Element]?,
    _ body: (UnsafePointer<Element>, UnsafePointer<Element>?, UnsafePointer<Element>?) -> Void
) {
    unsafe withPointer(to: first) { first in
        unsafe withPointer(toOptional: second) { second in
            unsafe withPointer(toOptional: third) { third in unsafe body(first, second, third) }
        }
    }
}

/// The storage has no address where it is empty.
@inline(__always)
private func withPointers<Element>(
    to storage: inout PairStorage, _ array: [Element],
    _ body: (UnsafeMutableRawPointer?, UnsafePointer<Element>) -> Void
) {
    unsafe storage.withUnsafeMutableBytes { octets in
        unsafe withPointer(to: array) { array in unsafe body(octets.baseAddress, array) }
    }
}

@inline(__always)
private func withMutablePointer<Element>(
    to array: inout [Element], _ body: (UnsafeMutablePointer<Element>) -> Void
) {
    unsafe array.withUnsafeMutableBufferPointer {
        if let base = $0.baseAddress { unsafe body(base) }
    }
}

@inline(__always)
private func withMutablePointers<One, Two>(
    _ first: inout [One], _ second: inout [Two],
    _ body: (UnsafeMutablePointer<One>, UnsafeMutablePointer<Two>) -> Void
) {
    unsafe withMutablePointer(to: &first) { first in
        unsafe withMutablePointer(to: &second) { second in unsafe body(first, second) }
    }
}
