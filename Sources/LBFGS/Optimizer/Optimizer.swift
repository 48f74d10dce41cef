/// Theory of operation.
///
/// L-BFGS by reverse communication, as MINPACK's `dcsrch` and L-BFGS-B's `setulb` do it: the
/// optimizer never calls anything. `beginStep` and `advance` are events, and what they return says
/// what is wanted next: an evaluation at `trialPoint`, or nothing more, since the step is over.
/// The state is a plain value between any two events, so that it can be copied, stored and
/// resumed, in the middle of a line search too. The same events give the same bits.
///
/// A step is what `torch.optim.LBFGS.step(closure)` does (trajectories are those of torch 2.13):
///
///     evaluate f, g at x                                            opening
///     repeat
///         keep the pair s = t d, y = g - g_before, if y.s > 1e-10
///         d = -H g; t = lr (in a run's first iteration lr min(1, 1 / ||g||_1))
///         stop if g.d > -tolerance_change
///         move by t d: straight on                                  moving
///                      or to a point found by a line search         searching
///     until a tolerance is met or a budget is spent
///
/// Non-finite losses and gradients, which torch lets into its state, never move the parameters and
/// never enter the history: a line search contracts, and without one the step ends. Only where a
/// step begins without a finite loss do gradients alone lead on (`goesOn`).
public struct Optimizer<Scalar: EngineScalar>: Sendable, Equatable {
    /// What the engine waits for; scalars only, the vectors stand beside it.
    enum Phase: Equatable, Sendable, Codable {
        /// No step runs. -> opening
        case idle
        /// The evaluation at the step's start. -> moving, searching, idle
        case opening
        /// The evaluation after a move without a line search. -> moving, idle
        case moving(stepLength: Double)
        /// A trial of a line search. -> searching, idle
        case searching(StrongWolfeSearch)
        /// A trial of a line search in robust mode. -> probing, idle
        case probing(LineSearch)
    }

    /// Where the lowest loss of the running step was seen.
    enum BestLocation: Equatable, Sendable, Codable {
        /// At `parameters`.
        case current
        /// On the current line, at this step length.
        case trial(stepLength: Double)
        /// At `bestPoint`.
        case kept
    }

    /// What the running step has done so far.
    struct Progress: Equatable, Sendable, Codable {
        /// As they were when the step began.
        var options: Options
        var iterations = 0
        var evaluations = 0
        var lossBefore: Double?
        var bestLoss = Double.infinity
        var bestGradientNormInf = Double.infinity
        var bestLocation = BestLocation.current
        /// In robust mode; nil before its first iteration, and always in version 1.
        var standstill: Standstill?

        /// The lowest loss, but for noise, and the smallest gradient of the iterations so far, and
        /// how many there have been since either fell.
        struct Standstill: Equatable, Sendable, Codable {
            var loss: Double
            var gradientNormInf: Double
            var iterations = 0
        }
    }

    /// The `numericsVersion` that the optimizer began with, and stays with.
    public internal(set) var numerics: Int
    /// Read when a step begins. Must satisfy `Options.validate`.
    public var options: Options
    /// x: the newest accepted point.
    public internal(set) var parameters: [Scalar]
    /// Where the pending evaluation is wanted; `parameters` when none is.
    public internal(set) var trialPoint: [Scalar]
    /// Iterations over the optimizer's life (torch's `n_iter`).
    public internal(set) var iterationCount = 0
    /// Evaluations over the optimizer's life (torch's `func_evals`).
    public internal(set) var evaluationCount = 0
    /// Loss at `parameters`, if it is known.
    public internal(set) var loss: Double?
    /// The lowest finite loss that was seen over the optimizer's life, and when.
    public var best: BestEvaluation? { memory.best }

    var phase = Phase.idle
    var progress: Progress
    /// Gradient where `loss` was measured; empty before the first.
    var gradient: [Scalar] = []
    var gradientNormInf = Double.infinity
    /// d; empty before the first iteration.
    var direction: [Scalar] = []
    var directionNormInf = 0.0
    /// t: how far along `direction` the last iteration went.
    var stepLength = 0.0
    /// Gradient and loss at the start of the last iteration; empty and nil before the first.
    var previousGradient: [Scalar] = []
    var previousLoss: Double?
    /// torch's `al`, without its padding; nil before the second iteration.
    var alphas: [Double]?
    var history = CurvatureHistory<Scalar>()
    /// Gradients of the line search's trials that may still be accepted.
    var trialGradients: [Int: [Scalar]] = [:]
    /// The point of the lowest loss, when `bestLocation` says so.
    var bestPoint: [Scalar] = []
    /// Parameters that don't move.
    var frozenRanges: [Range<Int>] = []
    /// Its gradient, in robust mode.
    var bestGradient: [Scalar] = []
    var memory = Memory()
    var buffers = Buffers()

    /// - Precondition: there is at least one parameter, and all are finite.
    /// - Parameter numerics: An older version, to go on as an engine of its time did.
    public init(
        _ parameters: [Scalar], options: Options = Options(), numerics: Int = numericsVersion
    ) throws(OptionError) {
        try options.validate()
        precondition(!parameters.isEmpty && Scalar.isFinite(parameters))
        precondition(1...numericsVersion ~= numerics)
        self.numerics = numerics
        self.options = options
        self.parameters = parameters
        trialPoint = parameters
        progress = Progress(options: options)
    }

    /// Whether a step runs.
    public var isStepping: Bool { phase != .idle }

    /// The trial that `advance` has to answer; nil when no step runs.
    public var pendingTrial: Trial? {
        switch phase {
        case .idle: nil
        case .opening: Trial(stepLength: 0, iteration: 0)
        case .moving(let stepLength):
            Trial(stepLength: stepLength, iteration: progress.iterations)
        case .searching(let search):
            Trial(stepLength: search.pendingStepLength, iteration: progress.iterations)
        case .probing(let search):
            Trial(stepLength: search.pendingStepLength, iteration: progress.iterations)
        }
    }

    /// Replaces the parameters between two steps, keeping the history, as writing to a parameter's
    /// data does in torch.
    public mutating func replaceParameters(_ parameters: [Scalar]) {
        precondition(!isStepping && parameters.count == self.parameters.count)
        precondition(Scalar.isFinite(parameters))
        self.parameters = parameters
        trialPoint = parameters
        loss = nil
        memory.isEvaluated = false
        // In robust mode no pair is made of gradients on both sides of such a jump.
        if options.mode == .robust { stepLength = 0 }
    }
}

// MARK: - Events

extension Optimizer {
    /// Begins a step: the first evaluation is wanted at `parameters`, unless `reuseEvaluation` is
    /// on and it is known from the step before.
    /// - Precondition: no step runs.
    /// - Parameter stepOptions: Valid ones, for this step only; nil: `options`.
    public mutating func beginStep(options stepOptions: Options? = nil) -> Directive {
        precondition(!isStepping, "a step runs already: \(phase)")
        progress = Progress(options: stepOptions ?? options)
        (memory.failures, memory.lossAtFailure) = (0, nil)
        trialPoint = parameters
        if progress.options.reuseEvaluation, memory.isEvaluated, let loss {
            progress.lossBefore = loss
            let known = Inspection(isFinite: true, normInf: gradientNormInf, slope: 0)
            return arrive(loss: loss, gradient: gradient, known, isOpening: true)
        }
        phase = .opening
        return .evaluate(Trial(stepLength: 0, iteration: 0))
    }

    /// Answers the pending evaluation. A loss or gradient that isn't finite makes the point
    /// infeasible. O(m n) at the end of a line search, O(n) within one.
    /// - Precondition: a step runs, and the gradient has as many numbers as the parameters.
    @specialized(where Scalar == Double)
    @specialized(where Scalar == Float)
    public mutating func advance(loss: Double, gradient: [Scalar]) -> Directive {
        precondition(gradient.count == parameters.count, "\(gradient.count) numbers")
        let gradient = masked(gradient)
        let inspection = inspect(gradient)
        guard inspection.isFinite, loss.isFinite || goesOn(from: loss) else {
            return advanceInfeasible(loss: loss)
        }
        countEvaluation()
        noteLife(loss: loss, inspection)
        switch phase {
        case .idle:
            preconditionFailure("no step runs")
        case .opening:
            progress.lossBefore = loss
            return arrive(loss: loss, gradient: gradient, inspection, isOpening: true)
        case .moving(let stepLength):
            leave(for: trialPoint, stepLength: stepLength, loss: loss)
            return arrive(loss: loss, gradient: gradient, inspection, isOpening: false)
        case .searching(var search):
            let stepLength = search.pendingStepLength
            noteTrial(loss: loss, inspection, stepLength: stepLength)
            let next = search.advance(loss: loss, slope: inspection.slope)
            trialGradients[search.trials] = gradient
            return follow(next, of: search)
        case .probing(let search):
            return probe(search, loss: loss, gradient: gradient, inspection)
        }
    }

    /// Answers the pending evaluation: there is no loss, or none that is finite, at this point.
    public mutating func advanceInfeasible(loss: Double = .nan) -> Directive {
        countEvaluation()
        switch phase {
        case .idle:
            preconditionFailure("no step runs")
        case .opening:
            progress.lossBefore = loss
            memory.isEvaluated = false
            return finish(.nonFinite)
        case .moving:
            stepLength = 0
            return finish(.nonFinite)
        case .searching(var search):
            let next = search.advance(loss: .infinity, slope: .nan)
            return follow(next, of: search)
        case .probing(var search):
            let next = search.advance(loss: .infinity, slope: .nan)
            return follow(next, of: search)
        }
    }

    /// Ends the running step now, at the point of the lowest loss that it has seen.
    /// - Precondition: a step runs.
    public mutating func stop() -> StepResult {
        precondition(isStepping, "no step runs")
        if case .probing(let search) = phase { takeBest(of: search) }
        let hasEvaluated = progress.bestLoss < .infinity
        switch progress.bestLocation {
        case .current:
            if progress.options.mode == .torch { stepLength = 0 }
        case .trial(let best):
            parameters = point(at: best)
            stepLength = best
            memory.isEvaluated = false
        case .kept:
            parameters = bestPoint
            stepLength = 0
            memory.isEvaluated = false
        }
        loss = hasEvaluated ? progress.bestLoss : nil
        gradientNormInf = hasEvaluated ? progress.bestGradientNormInf : .infinity
        guard case .finished(let result) = finish(.stopped) else {
            preconditionFailure("a step that was stopped is finished")
        }
        return result
    }
}

// MARK: - Transitions

extension Optimizer {
    private mutating func countEvaluation() {
        progress.evaluations += 1
        evaluationCount += 1
    }

    /// A new current point has its loss and gradient.
    private mutating func arrive(
        loss: Double, gradient: [Scalar], _ inspection: Inspection, isOpening: Bool
    ) -> Directive {
        self.loss = loss
        self.gradient = gradient
        memory.isEvaluated = true
        gradientNormInf = inspection.normInf
        if loss <= progress.bestLoss {
            progress.bestLoss = loss
            progress.bestGradientNormInf = gradientNormInf
            progress.bestLocation = .current
            bestPoint = []
        }
        if isOpening {
            return isOptimal ? finish(.gradientTolerance) : beginIteration()
        }
        if let reason = reasonToStop() { return finish(reason) }
        return beginIteration()
    }

    private mutating func beginIteration() -> Directive {
        if progress.options.mode == .robust { return beginRobustIteration() }
        progress.iterations += 1
        iterationCount += 1
        let slope: Double
        let lr = progress.options.lr
        if iterationCount == 1 {
            history.removeAll()
            direction = Scalar.scaled(gradient, by: -1)
            directionNormInf = gradientNormInf
            slope = self.slope(gradient)
            stepLength = firstStepLength(lr: lr)
        } else {
            learn()
            slope = direct(firstStepLength: lr)
            stepLength = lr
        }
        previousGradient = gradient
        previousLoss = loss
        guard directionNormInf.isFinite, slope.isFinite else {
            stepLength = 0
            return finish(.nonFinite)
        }
        if slope > -progress.options.toleranceChange { return finish(.notADescentDirection) }
        switch progress.options.lineSearch {
        case nil: return move()
        case .strongWolfe: return search(slope: slope)
        case .moreThuente, .hagerZhang, .backtracking:
            preconditionFailure("options that were not validated: \(progress.options)")
        }
    }

    private mutating func move() -> Directive {
        guard placeTrial(at: stepLength) else {
            stepLength = 0
            return finish(.nonFinite)
        }
        if progress.iterations == progress.options.maxIterations {
            // torch doesn't evaluate after the last move.
            leave(for: trialPoint, stepLength: stepLength, loss: .infinity)
            return finish(.maxIterations)
        }
        phase = .moving(stepLength: stepLength)
        return .evaluate(Trial(stepLength: stepLength, iteration: progress.iterations))
    }

    private mutating func search(slope: Double) -> Directive {
        guard let loss else { preconditionFailure("an iteration begins where the loss is known") }
        trialGradients = [:]
        let search = StrongWolfeSearch(
            loss: loss, slope: slope, stepLength: stepLength, directionNormInf: directionNormInf,
            extraTrialsMax: progress.options.maxEvaluations - progress.evaluations,
            isTensor: isInTorchOrder ? isFirstStepLengthTensor : nil)
        return follow(search.firstDirective, of: search)
    }

    /// Does what the line search wants. Trial points that overflow are infeasible without asking.
    private mutating func follow(
        _ directive: LineSearchDirective, of search: StrongWolfeSearch
    ) -> Directive {
        var (directive, search) = (directive, search)
        while true {
            switch directive {
            case .evaluate(let stepLength):
                if placeTrial(at: stepLength) {
                    let retained = search.retainedTrials
                    trialGradients = trialGradients.filter { retained.contains($0.key) }
                    phase = .searching(search)
                    return .evaluate(
                        Trial(stepLength: stepLength, iteration: progress.iterations))
                }
                directive = search.advance(loss: .infinity, slope: .nan)
            case .accept(let point):
                return settle(at: point, search: search)
            }
        }
    }

    /// Ends a line search at the point that it accepted.
    private mutating func settle(
        at point: LineSearchPoint, search: StrongWolfeSearch
    ) -> Directive {
        if point.trial == 0 {
            stepLength = 0
        } else {
            guard let accepted = trialGradients[point.trial] else {
                preconditionFailure("trial \(point.trial) was accepted but not kept")
            }
            let isNewest = point.trial == search.trials
            let destination = isNewest ? trialPoint : self.point(at: point.stepLength)
            leave(for: destination, stepLength: point.stepLength, loss: point.loss)
            loss = point.loss
            gradient = accepted
            gradientNormInf = isNewest ? buffers.trialNormInf : Scalar.normInf(accepted)
            memory.isEvaluated = true
        }
        trialGradients = [:]
        if search.feasibleTrials == 0 { return finish(.nonFinite) }
        if let reason = reasonToStop() { return finish(reason) }
        return beginIteration()
    }

    /// torch's checks after an iteration, in its order.
    private func reasonToStop() -> StopReason? {
        let options = progress.options
        if progress.iterations >= options.maxIterations { return .maxIterations }
        if progress.evaluations >= options.maxEvaluations { return .maxEvaluations }
        if isOptimal { return .gradientTolerance }
        if abs(stepLength) * directionNormInf <= options.toleranceChange {
            return .stepTolerance
        }
        if let loss, let previousLoss, abs(loss - previousLoss) < options.toleranceChange {
            return .lossTolerance
        }
        return changesTooLittle ? .lossTolerance : nil
    }

    mutating func finish(
        _ reason: StopReason, failure: LineSearchFailure? = nil
    ) -> Directive {
        // A small gradient or change where the loss isn't finite is no minimum.
        let hasMinimum = loss?.isFinite ?? true
        let reason = reason.isConvergence && !hasMinimum ? StopReason.nonFinite : reason
        phase = .idle
        dropTrial()
        trialGradients = [:]
        bestPoint = []
        bestGradient = []
        return .finished(
            StepResult(
                reason: reason, lossBefore: progress.lossBefore, loss: loss,
                gradientNormInf: gradientNormInf < .infinity ? gradientNormInf : nil,
                iterations: progress.iterations, evaluations: progress.evaluations,
                failure: failure))
    }
}
