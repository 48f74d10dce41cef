// Where the optimizer's vectors pass by: its calls of the passes, and the memory that they use.

extension Optimizer {
    /// Memory that is used again, and what a pass found out ahead of being asked. All are equal:
    /// no result depends on them, and a snapshot has none.
    struct Buffers: Equatable, Sendable {
        /// The parameters before the newest, which the next trial point is written over.
        var spare: [Scalar] = []
        /// Where the trial point already is, made along with the direction, and if it is finite.
        var placed: (stepLength: Double, isFinite: Bool)?
        /// ||g||_inf of the newest trial.
        var trialNormInf = Double.infinity

        static func == (_: Buffers, _: Buffers) -> Bool { true }
    }

    /// Runs the blocks of long vectors' passes; serial unless set. Results don't depend on it, and
    /// a snapshot doesn't keep it: set it again after resuming.
    public var executor: BlockExecutor {
        get { history.executor }
        set { history.executor = newValue }
    }

    mutating func inspect(_ gradient: [Scalar]) -> Inspection {
        let isSearching =
            switch phase {
            case .searching, .probing: true
            case .idle, .opening, .moving: false
            }
        let ridesAlong = isSearching && !isInTorchOrder
        var inspection = LBFGS.inspect(
            gradient, along: ridesAlong ? direction : nil, &history.workspace, on: executor)
        if isSearching, !ridesAlong { inspection.slope = slope(gradient) }
        return inspection
    }

    /// Offers the last iteration's step to the history, and takes the dot products that the next
    /// direction needs.
    mutating func learn() {
        guard !previousGradient.isEmpty else { return history.project(gradient) }
        _ = history.learn(
            lastStep, gradient: gradient, sizeMax: progress.options.historySize,
            inTorchOrder: isInTorchOrder)
    }

    /// The step that the last iteration took.
    var lastStep: Step<Scalar> {
        Step(
            previousGradient: previousGradient, direction: direction, stepLength: stepLength,
            dtype: progress.options.historyDType ?? Scalar.historyDType)
    }

    /// Makes the direction, after `learn`, and returns its slope. The trial point at
    /// `firstStepLength` is made in the same pass, unless that is nil.
    mutating func direct(firstStepLength: Double?) -> Double {
        if isInTorchOrder,
            history.directInTorchOrder(gradient, into: &direction, alphas: &alphas)
        {
            return finishDirection()
        }
        if !frozenRanges.isEmpty { return directMasked() }
        if firstStepLength != nil { takeSpare() }
        let combined = history.combine(
            gradient, into: &direction, alphas: &alphas, from: parameters, by: firstStepLength,
            to: &trialPoint)
        directionNormInf = combined.normInf
        buffers.placed = firstStepLength.map { ($0, combined.isTrialFinite) }
        return combined.slope
    }

    /// With passes of its own for what depends on the zeros of the frozen parameters.
    private mutating func directMasked() -> Double {
        _ = history.combine(
            gradient, into: &direction, alphas: &alphas, from: parameters, by: nil,
            to: &trialPoint)
        return finishDirection()
    }

    /// Sees to the frozen parameters, and works out what rides along in a combination.
    private mutating func finishDirection() -> Double {
        if !frozenRanges.isEmpty { direction = masked(direction) }
        directionNormInf = Scalar.normInf(direction)
        buffers.placed = nil
        return slope(gradient)
    }

    /// Makes the trial point at a step length along the direction; returns whether it is finite.
    mutating func placeTrial(at stepLength: Double) -> Bool {
        let placed = buffers.placed
        buffers.placed = nil
        if let placed, placed.stepLength == stepLength { return placed.isFinite }
        takeSpare()
        if isInTorchOrder { return placeTrialInTorchOrder(at: stepLength) }
        return move(
            parameters, along: direction, by: stepLength, into: &trialPoint, &history.workspace,
            on: executor)
    }

    /// No trial is pending: the trial point is where the parameters are.
    mutating func dropTrial() {
        buffers.placed = nil
        if buffers.spare.isEmpty { swap(&buffers.spare, &trialPoint) }
        trialPoint = parameters
    }

    private mutating func takeSpare() {
        guard !buffers.spare.isEmpty else { return }
        swap(&trialPoint, &buffers.spare)
        buffers.spare = []
    }
}
