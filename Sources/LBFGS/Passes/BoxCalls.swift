// The passes of bounds and L1 terms as functions of arrays, as in `Passes.swift`.

/// The result of `finishBoxDirection`.
struct BoxDirection: Equatable {
    /// g.d
    var slope: Double
    /// ||d||_inf
    var normInf: Double
    /// How many components lead out of the box.
    var outside: Int
    var isFinite: Bool
    var isTrialFinite: Bool
    /// The least step length at which a component reaches a bound; infinite if none does.
    var bend: Double
}

/// The result of `inspectInBox`.
struct BoxInspection: Equatable {
    var isFinite: Bool
    /// max_i |x_i - P(x_i - g_i)|, in the form that cancels nothing.
    var projectedNormInf: Double
    var slope: Double
    /// sum_i w_i |x_i|
    var l1Term: Double
}

/// Finds which parameters are free; writes the pseudo-gradient if there is an L1 term. O(n).
/// - Returns: How many parameters are not free.
@specialized(where Scalar == Double)
@specialized(where Scalar == Float)
func findFace<Scalar: EngineScalar>(
    _ box: BoxState<Scalar>, point: [Scalar], gradient: [Scalar], into status: inout [UInt8],
    pseudoGradient: inout [Scalar], _ workspace: inout Workspace, on executor: BlockExecutor
) -> Int {
    let count = point.count
    let blocks = blockCount(count)
    precondition(gradient.count == count)
    if status.count != count { status = [UInt8](repeating: 0, count: count) }
    let hasWeights = !box.l1.isEmpty
    if !hasWeights {
        pseudoGradient = []
    } else if pseudoGradient.count != count {
        pseudoGradient = [Scalar](repeating: 0, count: count)
    }
    workspace.sums.grow(to: blocks)
    // Sound: all arrays are as long as the pass requires, and stay in place until the closures
    // return; each block writes memory of its own.
    unsafe point.withUnsafeBufferPointer { point in
        unsafe gradient.withUnsafeBufferPointer { gradient in
            unsafe status.withUnsafeMutableBufferPointer { status in
                unsafe pseudoGradient.withUnsafeMutableBufferPointer { pseudo in
                    unsafe workspace.sums.withUnsafeMutableBufferPointer { sums in
                        unsafe box.withAddress { box in
                            guard let point = point.baseAddress,
                                let gradient = gradient.baseAddress,
                                let status = status.baseAddress, let sums = sums.baseAddress
                            else { return }
                            let pass = unsafe FacePass(
                                count: count, point: point, gradient: gradient, box: box,
                                status: status,
                                pseudoGradient: hasWeights ? pseudo.baseAddress : nil, sums: sums)
                            executor.forEachBlock(of: count, streams: 4) { _, block in
                                unsafe pass.run(block: block)
                            }
                        }
                    }
                }
            }
        }
    }
    var held = 0
    for block in 0..<blocks { held += Int(workspace.sums[block]) }
    return held
}

/// Finishes a direction: see `BoxDirectionPass`. O(n).
@specialized(where Scalar == Double)
@specialized(where Scalar == Float)
func finishBoxDirection<Scalar: EngineScalar>(
    _ direction: inout [Scalar], _ box: BoxState<Scalar>, point: [Scalar], gradient: [Scalar],
    status: [UInt8], projects: Bool, trialPoint: inout [Scalar], _ workspace: inout Workspace,
    on executor: BlockExecutor
) -> BoxDirection {
    typealias Pass = BoxDirectionPass<Scalar>
    let count = point.count
    let blocks = blockCount(count)
    precondition(direction.count == count && gradient.count == count && status.count == count)
    if trialPoint.count != count { trialPoint = [Scalar](repeating: 0, count: count) }
    unsafe workspace.sums.grow(to: Pass.sumsEach * blocks)
    // Sound: as above.
    unsafe point.withUnsafeBufferPointer { point in
        unsafe gradient.withUnsafeBufferPointer { gradient in
            unsafe status.withUnsafeBufferPointer { status in
                unsafe direction.withUnsafeMutableBufferPointer { direction in
                    unsafe trialPoint.withUnsafeMutableBufferPointer { trial in
                        unsafe workspace.sums.withUnsafeMutableBufferPointer { sums in
                            unsafe box.withAddress { box in
                                guard let point = point.baseAddress,
                                    let gradient = gradient.baseAddress,
                                    let status = status.baseAddress, let sums = sums.baseAddress,
                                    let direction = direction.baseAddress
                                else { return }
                                let pass = unsafe Pass(
                                    count: count, point: point, gradient: gradient, box: box,
                                    status: status, projects: projects, direction: direction,
                                    trialPoint: trial.baseAddress, sums: sums)
                                executor.forEachBlock(of: count, streams: 6) { _, block in
                                    unsafe pass.run(block: block)
                                }
                            }
                        }
                    }
                }
            }
        }
    }
    var result = BoxDirection(
        slope: 0, normInf: 0, outside: 0, isFinite: true, isTrialFinite: true, bend: .infinity)
    for block in 0..<blocks {
        let base = unsafe Pass.sumsEach * block
        result.slope += workspace.sums[base]
        result.normInf = max(result.normInf, workspace.sums[base + 1])
        result.outside += Int(workspace.sums[base + 2])
        if workspace.sums[base + 3] != 0 { result.isFinite = false }
        if workspace.sums[base + 4] != 0 { result.isTrialFinite = false }
        result.bend = min(result.bend, workspace.sums[base + 5])
    }
    return result
}

/// target = P(start + t direction). Returns whether it is finite. O(n).
@specialized(where Scalar == Double)
@specialized(where Scalar == Float)
func computeBoxPoint<Scalar: EngineScalar>(
    _ start: [Scalar], along direction: [Scalar], by stepLength: Double, _ box: BoxState<Scalar>,
    into target: inout [Scalar], _ workspace: inout Workspace, on executor: BlockExecutor
) -> Bool {
    let count = start.count
    let blocks = blockCount(count)
    precondition(direction.count == count)
    if target.count != count { target = [Scalar](repeating: 0, count: count) }
    workspace.sums.grow(to: blocks)
    // Sound: as above.
    unsafe start.withUnsafeBufferPointer { start in
        unsafe direction.withUnsafeBufferPointer { direction in
            unsafe target.withUnsafeMutableBufferPointer { target in
                unsafe workspace.sums.withUnsafeMutableBufferPointer { sums in
                    unsafe box.withAddress { box in
                        guard let start = start.baseAddress, let sums = sums.baseAddress,
                            let direction = direction.baseAddress, let target = target.baseAddress
                        else { return }
                        let pass = unsafe BoxPointPass(
                            count: count, start: start, direction: direction,
                            stepLength: stepLength, box: box, target: target, sums: sums)
                        executor.forEachBlock(of: count, streams: 5) { _, block in
                            unsafe pass.run(block: block)
                        }
                    }
                }
            }
        }
    }
    for block in 0..<blocks where workspace.sums[block] != 0 { return false }
    return true
}

/// Inspects a gradient at a point within the box: see `BoxInspectionPass`. O(n).
@specialized(where Scalar == Double)
@specialized(where Scalar == Float)
func inspectInBox<Scalar: EngineScalar>(
    _ gradient: [Scalar], at point: [Scalar], along direction: [Scalar]?, _ box: BoxState<Scalar>,
    _ workspace: inout Workspace, on executor: BlockExecutor
) -> BoxInspection {
    typealias Pass = BoxInspectionPass<Scalar>
    let count = point.count
    let blocks = blockCount(count)
    precondition(gradient.count == count)
    if let direction { precondition(direction.count == count) }
    unsafe workspace.sums.grow(to: Pass.sumsEach * blocks)
    // Sound: as above.
    unsafe point.withUnsafeBufferPointer { point in
        unsafe gradient.withUnsafeBufferPointer { gradient in
            unsafe (direction ?? []).withUnsafeBufferPointer { along in
                unsafe workspace.sums.withUnsafeMutableBufferPointer { sums in
                    unsafe box.withAddress { box in
                        guard let point = point.baseAddress, let sums = sums.baseAddress,
                            let gradient = gradient.baseAddress
                        else { return }
                        let pass = unsafe Pass(
                            count: count, point: point, gradient: gradient,
                            direction: direction == nil ? nil : along.baseAddress, box: box,
                            sums: sums)
                        executor.forEachBlock(of: count, streams: 5) { _, block in
                            unsafe pass.run(block: block)
                        }
                    }
                }
            }
        }
    }
    var result = BoxInspection(isFinite: true, projectedNormInf: 0, slope: 0, l1Term: 0)
    for block in 0..<blocks {
        let base = unsafe Pass.sumsEach * block
        result.slope += workspace.sums[base]
        result.projectedNormInf = max(result.projectedNormInf, workspace.sums[base + 1])
        result.l1Term += workspace.sums[base + 2]
        if workspace.sums[base + 3] != 0 { result.isFinite = false }
    }
    return result
}

/// The column of a pair for the face dot products, and what else is to be computed with it.
struct FaceColumn<Scalar: EngineScalar> {
    /// The index in the workspace's table of the column's pair, the last one that takes part.
    var index: Int
    /// The new pair's step; nil if the pair is in the history.
    var step: CurvatureStep<Scalar>?
    /// The gradient, or the pseudo-gradient; nil if its products are not wanted.
    var gradient: [Scalar]?
    /// Whether the Gram matrices' column is wanted.
    var wantsGram: Bool
}

/// Computes dot products by `FaceDotProductPass`. The results are in `workspace.dots`: four numbers
/// for each pair and couple, couple by couple. O(m n).
@specialized(where Scalar == Double)
@specialized(where Scalar == Float)
func computeFaceDotProducts<Scalar: EngineScalar>(
    _ column: FaceColumn<Scalar>, gradient: [Scalar], writing storage: inout PairStorage,
    status: [UInt8], face: [UInt8], faceCounts: [Int], _ workspace: inout Workspace,
    on executor: BlockExecutor
) {
    typealias Pass = FaceDotProductPass<Scalar>
    let count = gradient.count
    let tableCount = column.index + 1
    let dotCount = unsafe Pass.couplesMax * tableCount * Pass.Inner.dotsEach
    let blocks = blockCount(count)
    workspace.sums.grow(to: dotCount * blocks)
    unsafe workspace.scratch.grow(
        to: executor.width * Pass.scratchLength(count: count) + numbersPerLine)
    workspace.dots.grow(to: dotCount)
    precondition(status.count == count)
    precondition(!column.wantsGram || (face.count == count && faceCounts.count == blocks))
    precondition(column.gradient.map { $0.count == count } ?? true)
    let empty: [Scalar] = []
    if let step = column.step {
        precondition(step.direction.count == count && step.previousGradient.count == count)
        precondition(storage.count == 2 * count * step.dtype.size)
    }
    // Sound: as above.
    unsafe gradient.withUnsafeBufferPointer { gradient in
        unsafe (column.gradient ?? empty).withUnsafeBufferPointer { effective in
            unsafe (column.step?.previousGradient ?? empty).withUnsafeBufferPointer { previous in
                unsafe (column.step?.direction ?? empty).withUnsafeBufferPointer { step in
                    unsafe storage.withUnsafeMutableBytes { octets in
                        unsafe withFacePointers(status, face, faceCounts, &workspace) {
                            status, face, faceCounts, table, sums, scratch in
                            guard let gradient = gradient.baseAddress else { return }
                            var newPair: Pass.Inner.NewPair?
                            if let own = column.step, let previous = previous.baseAddress,
                                let step = step.baseAddress, let s = octets.baseAddress
                            {
                                unsafe newPair = Pass.Inner.NewPair(
                                    previousGradient: previous, direction: step,
                                    stepLength: own.stepLength, dtype: own.dtype, s: s,
                                    y: s + count * own.dtype.size)
                            }
                            let scratch = unsafe lineAligned(scratch)
                            let inner = unsafe Pass.Inner(
                                count: count, gradient: gradient, newPair: nil, table: table,
                                pairCount: tableCount, sums: sums, scratch: scratch)
                            let pass = unsafe Pass(
                                inner: inner, newPair: newPair,
                                gradient: column.gradient == nil ? nil : effective.baseAddress,
                                status: status, face: column.wantsGram ? face : nil,
                                faceCounts: faceCounts, column: column.index,
                                tableCount: tableCount, sums: sums, scratch: scratch)
                            unsafe executor.forEachRange(
                                of: count, streams: 2 * tableCount + 5, longest: Pass.blocksMax
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

@inline(__always)
private func withFacePointers(
    _ status: [UInt8], _ face: [UInt8], _ faceCounts: [Int], _ workspace: inout Workspace,
    _ body: (
        UnsafePointer<UInt8>, UnsafePointer<UInt8>?, UnsafePointer<Int>?,
        UnsafePointer<PairAddress>,
        UnsafeMutablePointer<Double>, UnsafeMutablePointer<Double>
    ) -> Void
) {
    unsafe status.withUnsafeBufferPointer { status in
        unsafe face.withUnsafeBufferPointer { face in
            unsafe faceCounts.withUnsafeBufferPointer { faceCounts in
                unsafe workspace.table.withUnsafeBufferPointer { table in
                    unsafe workspace.sums.withUnsafeMutableBufferPointer { sums in
                        unsafe workspace.scratch.withUnsafeMutableBufferPointer { scratch in
                            guard let status = status.baseAddress, let table = table.baseAddress,
                                let sums = sums.baseAddress, let scratch = scratch.baseAddress
                            else { return }
                            unsafe body(
                                status, face.baseAddress, faceCounts.baseAddress, table, sums,
                                scratch)
                        }
                    }
                }
            }
        }
    }
}

/// The breakpoints of the projected gradient path P(x - t g) within limits, the upper one included,
/// in the order of the parameters; and g.g over the free parameters. O(n).
@specialized(where Scalar == Double)
@specialized(where Scalar == Float)
func findBreakpoints<Scalar: EngineScalar>(
    _ box: BoxState<Scalar>, point: [Scalar], gradient: [Scalar], status: [UInt8],
    in limits: (least: Double, most: Double)
) -> (found: [BreakpointHeap.Breakpoint], gradientSquared: Double) {
    let count = point.count
    precondition(gradient.count == count && status.count == count)
    var found: [BreakpointHeap.Breakpoint] = []
    var squared = 0.0
    // Sound: every index stays below `count`, which all vectors have.
    unsafe point.withUnsafeBufferPointer { point in
        unsafe gradient.withUnsafeBufferPointer { gradient in
            unsafe status.withUnsafeBufferPointer { status in
                unsafe box.withAddress { box in
                    guard let point = point.baseAddress, let gradient = gradient.baseAddress,
                        let status = status.baseAddress
                    else { return }
                    var offset = 0
                    while offset < count {
                        let end = min(offset + blockLength, count)
                        var sum = Lanes.zero
                        while offset < end {
                            let left = end &- offset
                            let (x, g) = unsafe (
                                someLanes(point, offset, left), someLanes(gradient, offset, left)
                            )
                            let isFree = unsafe faceLanes(status, offset, left) .& (g .!= 0)
                            sum += (g * g).replacing(with: Lanes.zero, where: .!isFree)
                            let reach = unsafe boxReach(box, offset, left, x, g, Scalar.self)
                            let ahead =
                                -(reach.lower.replacing(with: reach.upper, where: g .< 0)) / g
                            let isFound =
                                isFree .& (ahead .> limits.least) .& (ahead .<= limits.most)
                            if any(isFound) {
                                for lane in 0..<min(8, left) where isFound[lane] {
                                    found.append(
                                        .init(stepLength: ahead[lane], index: offset + lane))
                                }
                            }
                            offset &+= 8
                        }
                        offset = end
                        squared += folded(sum)
                    }
                }
            }
        }
    }
    return (found, squared)
}
