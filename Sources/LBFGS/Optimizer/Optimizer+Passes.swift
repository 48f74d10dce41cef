// The optimizer's calls of the passes over vectors, and the memory that they use. Nothing else
// touches long vectors within an iteration.

extension Optimizer {
    /// Vectors that are used again, and results of a pass that are kept for the next. All values
    /// are equal: no result depends on them, and a snapshot does not hold them.
    struct Buffers: Equatable, Sendable {
        /// The memory of the parameters before the last move, for the next trial point.
        var spare: [Scalar] = []
        /// The step length for which the trial point was computed along with the direction, and
        /// whether that point is finite.
        var precomputedTrial: (stepLength: Double, isFinite: Bool)?
        /// ||g||_inf of the newest trial.
        var trialNormInf = Double.infinity
        /// About the newest answer.
        var outcome = TrialOutcome()

        static func == (_: Buffers, _: Buffers) -> Bool { true }
    }

    /// Runs the blocks of the passes over long vectors; ``BlockExecutor/serial`` unless set. No
    /// result depends on it. A snapshot does not hold it: set it again after resuming.
    public var executor: BlockExecutor {
        get { history.executor }
        set { history.executor = newValue }
    }

    /// Whether a gradient at the trial point is finite, its norm (with bounds that of the projected
    /// gradient) and, in a line search, its slope along the direction.
    mutating func inspect(_ gradient: [Scalar]) -> Inspection {
        let isSearching =
            switch phase {
            case .searching: true
            case .idle, .evaluatingStart, .evaluatingFixedStep: false
            }
        if isBoxed {
            let inspection = inspectInBox(
                gradient, at: trialPoint, along: isSearching ? direction : nil, box,
                &history.workspace, on: executor)
            face.l1Term = inspection.l1Term
            return Inspection(
                isFinite: inspection.isFinite, normInf: inspection.projectedNormInf,
                slope: inspection.slope)
        }
        let fusesSlope = isSearching && !isInTorchOrder
        var inspection = LBFGS.inspect(
            gradient, along: fusesSlope ? direction : nil, &history.workspace, on: executor)
        if isSearching, !fusesSlope { inspection.slope = slope(gradient) }
        return inspection
    }

    mutating func addLastPair(curvatureMin: Double) -> Bool {
        guard !previousGradient.isEmpty else {
            history.computeDotProducts(with: gradient)
            return false
        }
        return history.add(
            CurvatureStep(
                previousGradient: previousGradient, direction: direction, stepLength: stepLength,
                dtype: progress.options.historyDType ?? Scalar.historyDType),
            gradient: gradient, sizeMax: progress.options.historySize, curvatureMin: curvatureMin,
            inTorchOrder: isInTorchOrder)
    }

    /// The trial point at `firstStepLength` is computed in the same pass. O(m n).
    mutating func computeDirection(placingTrialAt firstStepLength: Double) -> Double {
        if isInTorchOrder,
            history.applyTwoLoopRecursion(gradient, into: &direction, alphas: &alphas)
        {
            return maskAndMeasureDirection()
        }
        if !frozenRanges.isEmpty {
            // Norm, slope and trial point depend on the zeros of the frozen parameters.
            _ = history.combine(
                gradient, into: &direction, alphas: &alphas, from: parameters, by: nil,
                to: &trialPoint)
            return maskAndMeasureDirection()
        }
        takeSpareBuffer()
        let combined = history.combine(
            gradient, into: &direction, alphas: &alphas, from: parameters, by: firstStepLength,
            to: &trialPoint)
        directionNormInf = combined.normInf
        buffers.precomputedTrial = (firstStepLength, combined.isTrialFinite)
        return combined.slope
    }

    /// Zeroes the direction of frozen parameters, and computes its norm and its slope.
    private mutating func maskAndMeasureDirection() -> Double {
        if !frozenRanges.isEmpty { direction = masked(direction) }
        directionNormInf = Scalar.normInf(direction)
        buffers.precomputedTrial = nil
        return slope(gradient)
    }

    /// O(n), or O(1) if the point was computed along with the direction.
    mutating func placeTrial(at stepLength: Double) -> Bool {
        let precomputed = buffers.precomputedTrial
        buffers.precomputedTrial = nil
        if let precomputed, precomputed.stepLength == stepLength { return precomputed.isFinite }
        takeSpareBuffer()
        if isBoxed {
            return computeBoxPoint(
                parameters, along: direction, by: stepLength, box, into: &trialPoint,
                &history.workspace, on: executor)
        }
        if isInTorchOrder { return placeTrialInTorchOrder(at: stepLength) }
        return computeTrialPoint(
            parameters, along: direction, by: stepLength, into: &trialPoint, &history.workspace,
            on: executor)
    }

    mutating func clearTrialPoint() {
        buffers.precomputedTrial = nil
        if buffers.spare.isEmpty { swap(&buffers.spare, &trialPoint) }
        trialPoint = parameters
    }

    mutating func takeSpareBuffer() {
        guard !buffers.spare.isEmpty else { return }
        swap(&trialPoint, &buffers.spare)
        buffers.spare = []
    }
}
