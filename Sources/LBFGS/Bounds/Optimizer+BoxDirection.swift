// The direction of a bounded optimizer.
//
// Theory. As in L-BFGS-B (Byrd, Lu, Nocedal & Zhu 1995; Zhu et al. 1997; Morales & Nocedal 2011),
// the quadratic model of the L-BFGS matrix B is minimized over a face of the box, in one of two
// ways:
//
// 1. On the face of x: the parameters that the gradient holds at their bounds stay there, and the
//    others take the Newton step of the model. If that ends within the box it is the minimum of the
//    model over the face. The projected gradient path lies on that face too, so that no point of it
//    has a lower model, and the Cauchy point, which is there to guarantee a decrease, is not
// needed.    If no parameter is held, it is the direction of the unbounded optimizer, in two passes
// over    the pairs.
// 2. Otherwise the generalized Cauchy point (`CauchyPath`) says which further parameters go to
//    their bounds. The model is minimized over those that are left (`SubspaceMatrix`), and the
//    minimum is projected onto the box (Morales & Nocedal 2011), unless that would descend too
//    little: then the step from the Cauchy point is shortened to the box.
//
// The line search follows P(x + t d). It is straight as far as x + t d is in the box, which it is
// up to t = 1 at least, and bends beyond.

/// The least slope g.d of a projected direction, as a share of that of the step to the Cauchy
/// point. The minimum of the model over a face has at least 1, and projecting it may take all of
/// that away. L-BFGS-B 3.0 accepts any negative slope; a chained Rosenbrock function of 12
/// parameters in [-0.5, 0.8] then came nearly to a halt, and took 114 evaluations. With shares of
/// 0.01, 0.1, 0.5 and 1 it took 72, 66, 60 and 57.
private let projectedSlopeShareMin = 0.5

extension Optimizer {
    /// Whether there are bounds or an L1 term.
    var isBoxed: Bool { !box.isEmpty }

    /// The gradient of the loss in the orthant of x: with an L1 term the pseudo-gradient.
    private var effectiveGradient: [Scalar] {
        box.l1.isEmpty ? gradient : face.pseudoGradient
    }

    /// Chooses the direction and the first step length. O(m n), and O(m^2) for each parameter that
    /// enters or leaves the face.
    mutating func chooseBoxDirection() -> SearchDirection {
        findFace()
        addLastPairInBox()
        var line = SearchDirection(slope: 0, firstStepLength: 1)
        if !history.pairs.isEmpty, let direction = computeBoxDirection() {
            (line.slope, line.bend) = (direction.slope, direction.pathBend)
        } else {
            history.removeAll()
            line = useProjectedSteepestDescent()
        }
        box.refusedStepNorm = nil
        stepLength = 0
        return line
    }

    /// Finds which parameters are free.
    private mutating func findFace() {
        face.heldCount = LBFGS.findFace(
            box, point: parameters, gradient: gradient, into: &face.status,
            pseudoGradient: &face.pseudoGradient, &history.workspace, on: executor)
        for range in frozenRanges {
            for index in range {
                if face.status[index] == FaceStatus.free { face.heldCount += 1 }
                face.status[index] = FaceStatus.fixed
                if !box.l1.isEmpty { face.pseudoGradient[index] = 0 }
            }
        }
    }

    // MARK: - Steepest descent

    /// P(x - g) - x, and a first step length with which the step has a length of 1 in the 1-norm,
    /// at most 1 on the straight part of the path. (L-BFGS-B begins with 1 where all parameters
    /// have both bounds, which took a fifth more evaluations.) After a refused pair the step is as
    /// long as the last one.
    private mutating func useProjectedSteepestDescent() -> SearchDirection {
        let scale =
            carried.failedSearches < RobustConstants.restartsMax ? carried.lastScale : nil
        direction = Scalar.scaled(effectiveGradient, by: -(scale ?? 1))
        alphas = nil
        let finished = finishDirection(projects: true)
        var line = SearchDirection(
            slope: finished.slope, firstStepLength: 1, bend: finished.pathBend)
        let norm1 = Scalar.norm1(direction)
        if let last = box.refusedStepNorm {
            let norm = Scalar.dot(direction, direction).squareRoot()
            if norm > 0, last < norm { line.firstStepLength = last / norm }
        } else if scale == nil, norm1 > 1 {
            line.firstStepLength = 1 / norm1
        }
        if iterationCount == 1 { line.firstStepLength *= progress.options.lr }
        return line
    }

    // MARK: - Newton steps on a face

    /// Computes the direction from the pairs; nil if rounding has spoilt the matrices or the
    /// direction.
    private mutating func computeBoxDirection() -> BoxDirection? {
        let theta = 1 / history.initialScale
        // So that the matrices of the base are not shared when the next pair adds its column.
        defer { face.current = FaceGram() }
        takeDotProducts()
        if face.heldCount == 0 {
            history.computeWeights(alphas: &alphas)
            face.needsGram = false
        } else {
            prepareGram()
            alphas = nil
            guard face.subspace.factorize(face.current, theta: theta) else { return nil }
            face.q.removeAll(keepingCapacity: true)
            face.q.grow(to: 2 * history.pairs.count)
            solveSubspace(theta)
        }
        combineDirection(theta)
        let newton = finishDirection(projects: false)
        if newton.outside == 0 { return newton.ifDescending }
        if face.heldCount == 0 { prepareGram() }
        guard face.middle.factorize(face.current, theta: theta) else { return nil }
        let minimizer = stopParametersAlongPath(theta)
        let stopped = face.stops
        guard face.subspace.factorize(face.current, theta: theta) else {
            for (index, _) in stopped { face.status[index] = FaceStatus.free }
            return nil
        }
        face.middle.multiply(face.path.stopped, into: &face.q)
        solveSubspace(theta)
        combineDirection(theta)
        moveStopped(stopped)
        let projected = finishDirection(projects: true)
        if projected.slope <= projectedSlopeShareMin * face.path.slopeToMinimizer,
            let projected = projected.ifDescending
        {
            return projected
        }
        return shortenFromCauchyPoint(theta, minimizer: minimizer, stopped)
    }

    private mutating func takeDotProducts() {
        let count = history.pairs.count
        face.sg.grow(to: count)
        face.yg.grow(to: count)
        for index in 0..<count {
            face.sg[index] = history.workspace.dots[4 * index]
            face.yg[index] = history.workspace.dots[4 * index + 1]
        }
    }

    private mutating func solveSubspace(_ theta: Double) {
        history.workspace.stepWeights.grow(to: history.pairs.count)
        history.workspace.changeWeights.grow(to: history.pairs.count)
        face.subspace.solve(
            face.current, theta: theta, sg: face.sg, yg: face.yg, q: face.q,
            stepWeights: &history.workspace.stepWeights,
            changeWeights: &history.workspace.changeWeights, &face.scratch)
    }

    /// d = -g / theta + sum_i (a_i s_i + b_i y_i), with the weights in the workspace. O(m n).
    private mutating func combineDirection(_ theta: Double) {
        var none: [Scalar] = []
        _ = LBFGS.combine(
            -history.initialScale, effectiveGradient, into: &direction, from: [], by: nil,
            to: &none, &history.workspace, on: executor)
    }

    /// Zeroes the direction on the face and projects it if asked to. Places the trial at 1.
    private mutating func finishDirection(projects: Bool) -> BoxDirection {
        takeSpareBuffer()
        let finished = finishBoxDirection(
            &direction, box, point: parameters, gradient: effectiveGradient, status: face.status,
            projects: projects, trialPoint: &trialPoint, &history.workspace, on: executor)
        directionNormInf = finished.isFinite ? finished.normInf : .nan
        buffers.precomputedTrial = (1, finished.isTrialFinite)
        return finished
    }

    // MARK: - Cauchy point

    /// Follows the projected gradient path to its first minimum. The parameters that stop on the
    /// way leave the free ones, in `face.current`, `sg` and `yg`, and are listed in `face.stops`.
    /// - Returns: t of the Cauchy point.
    private mutating func stopParametersAlongPath(_ theta: Double) -> Double {
        let count = history.pairs.count
        let gradient = effectiveGradient
        // Below all breakpoints, for g.g alone.
        let squared = breakpoints(in: (-.infinity, -.infinity), gradient).gradientSquared
        face.path.begin(
            face.middle, theta: theta, gradientSquared: squared, sg: face.sg, yg: face.yg)
        face.stops.removeAll(keepingCapacity: true)
        history.workspace.setTable(history.pairs[...])
        var row = [Double](repeating: 0, count: 2 * count)
        var limits = (least: -Double.infinity, most: 4 * face.path.minimizer)
        while true {
            var heap = BreakpointHeap(breakpoints(in: limits, gradient).found)
            while let next = heap.nearest, next.stepLength < face.path.minimizer {
                heap.removeNearest()
                let g = Double(gradient[next.index])
                let move =
                    -g > 0
                    ? box.reach(parameters, next.index).upper
                    : box.reach(parameters, next.index).lower
                history.readRow(next.index, into: &row)
                for pair in 0..<count {
                    face.sg[pair] -= row[pair] * g
                    face.yg[pair] -= row[count + pair] * g
                }
                face.current.move(row, isHeld: true)
                var own = row
                for pair in 0..<count {
                    (own[pair], own[count + pair]) = (row[count + pair], theta * row[pair])
                }
                face.path.stop(
                    at: next.stepLength, gradient: g, move: Double(move), row: own, face.middle)
                face.status[next.index] = FaceStatus.held
                face.stops.append((next.index, move))
            }
            guard heap.nearest == nil, face.path.minimizer > limits.most else { break }
            limits = (limits.most, 4 * face.path.minimizer)
        }
        return face.path.minimizer
    }

    private func breakpoints(
        in limits: (least: Double, most: Double), _ gradient: [Scalar]
    ) -> (found: [BreakpointHeap.Breakpoint], gradientSquared: Double) {
        findBreakpoints(
            box, point: parameters, gradient: gradient, status: face.status, in: limits)
    }

    /// Sets the components of the parameters that have stopped, which end at their bounds.
    private mutating func moveStopped(_ stopped: [(index: Int, move: Scalar)]) {
        for (index, move) in stopped {
            direction[index] = move
            face.status[index] = FaceStatus.free
        }
    }

    /// The step to the Cauchy point and from there towards the minimum over the free parameters, as
    /// far as the box allows (Byrd, Lu, Nocedal & Zhu 1995, equation 5.8).
    private mutating func shortenFromCauchyPoint(
        _ theta: Double, minimizer: Double, _ stopped: [(index: Int, move: Scalar)]
    ) -> BoxDirection? {
        for (index, _) in stopped { face.status[index] = FaceStatus.held }
        combineDirection(theta)
        let gradient = effectiveGradient
        var share = 1.0
        for index in direction.indices where face.status[index] == FaceStatus.free {
            let reach = box.reach(parameters, index)
            let (d, cauchy) = (Double(direction[index]), -minimizer * Double(gradient[index]))
            let (lower, upper) = (Double(reach.lower), Double(reach.upper))
            if d < lower, cauchy > d { share = min(share, max(0, (cauchy - lower) / (cauchy - d))) }
            if d > upper, cauchy < d { share = min(share, max(0, (upper - cauchy) / (d - cauchy))) }
        }
        for index in direction.indices where face.status[index] == FaceStatus.free {
            let (d, cauchy) = (Double(direction[index]), -minimizer * Double(gradient[index]))
            direction[index] = Scalar(cauchy + share * (d - cauchy))
        }
        moveStopped(stopped)
        return finishDirection(projects: true).ifDescending
    }
}

extension BoxDirection {
    /// This direction, if it descends.
    var ifDescending: BoxDirection? {
        isFinite && normInf.isFinite && slope.isFinite && slope < 0 ? self : nil
    }

    /// Where the path bends, rounded such that the bound is reached there; nil if it does not.
    var pathBend: Double? {
        guard bend < .infinity else { return nil }
        return bend == 1 ? bend : bend.nextUp
    }
}

extension BoxState {
    /// How far a parameter may move in its orthant, down and up, rounded as in the passes. O(1).
    func reach(_ point: [Scalar], _ index: Int) -> (lower: Scalar, upper: Scalar) {
        let x = point[index]
        var (lower, upper) = (bounds.lower(at: index), bounds.upper(at: index))
        if !l1.isEmpty, l1.weight(at: index) > 0 {
            if x > 0 { lower = max(lower, 0) }
            if x < 0 { upper = min(upper, 0) }
        }
        return (
            Scalar(Double(lower) - Double(x)), Scalar(Double(upper) - Double(x))
        )
    }
}
