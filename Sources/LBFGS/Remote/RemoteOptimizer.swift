/// An L-BFGS optimizer whose vectors live on workers, of any number, on any machines.
///
/// Theory. The recursion of L-BFGS needs the vectors g, s_i and y_i only in dot products, and its
/// direction is a combination of them (Chen, Wang & Zhou 2014: vector-free L-BFGS). Workers hold
/// slices of all vectors. They evaluate, and report a fixed number of dot products, which are added
/// up here (``RemoteGradient``). What comes back is a ``RemoteCommand``: which trial to move to,
/// whether to form a pair, the coefficients of the next direction, and the step length of the next
/// trial. That is one round trip an evaluation, of 4 m + 10 numbers up and 2 m + 3 down for each
/// worker, whatever n is.
///
/// Iterations, modes, line searches, restarts and termination are those of ``Optimizer``: both are
/// a `StepMachine`. What differs is what dot products can't tell:
///
/// - The slope of a new direction and its max-norm come with its first trial. The direction is
///   judged by the slope that the dot products predict; the search uses the measured one.
/// - Whether x + t d is finite is known when it was evaluated, and whether it rounds to x is not
///   known at all: a search that contracts that far ends by its budget.
/// - A gradient that was saved has unknown products with pairs that were formed since. After a
///   return to the step's best point the next step evaluates there again.
/// - Dot products of a pair are those of t d and g - h, before they were rounded for storage.
///
/// Neither bounds nor an L1 term: the face of a box would need dot products over the free
/// parameters, which change with every move. No frozen parameters, no torch order.
///
/// Memory: O(m^2).
public struct RemoteOptimizer: Equatable, Sendable {
    /// The ``numericsVersion`` that the optimizer began with.
    public let numerics: Int
    /// The options of the next step.
    public var options: Options
    /// The most pairs. Fixed, as workers allocate by it: later options don't change it.
    public let historySize: Int
    /// Iterations since the optimizer was created.
    public internal(set) var iterationCount = 0
    /// Evaluations since the optimizer was created.
    public internal(set) var evaluationCount = 0
    /// The loss where the workers' x is, if it is known.
    public internal(set) var loss: Double?
    /// What the newest evaluation was for the line search. A snapshot does not hold it.
    public internal(set) var trialOutcome: TrialOutcome {
        get { unstored.trialOutcome }
        set { unstored.trialOutcome = newValue }
    }
    /// The newest command.
    public internal(set) var command = RemoteCommand(number: 0)
    /// The unit roundoff of the workers' numbers.
    let unitRoundoff: Double

    /// What no result depends on. All values are equal.
    struct Unstored: Equatable, Sendable {
        var trialOutcome = TrialOutcome()

        static func == (_: Unstored, _: Unstored) -> Bool { true }
    }

    var unstored = Unstored()
    var phase = StepPhase.idle
    var progress: StepProgress
    var carried = CarriedState()
    var gradientNormInf = Double.infinity
    var directionNormInf = 0.0
    var stepLength = 0.0
    var previousLoss: Double?
    var gradient = RemoteGradient.unknown
    var trialGradients = TrialGradients<RemoteGradient>()
    /// g.g where the last line began; nil before the first.
    var startGradientSquared: Double?
    /// d.d of the last line.
    var directionSquared = 0.0
    /// The pairs' small matrices. Their vectors are empty.
    var history = CurvatureHistory<Double>()
    /// The slope that the dot products predict for the direction whose first trial is pending.
    var predictedSlope: Double?

    /// Creates an optimizer with an empty history.
    /// - Parameters:
    ///   - options: The options of the steps.
    ///   - unitRoundoff: The relative precision of the workers' numbers: 2^-52 or 2^-23.
    ///   - numerics: The ``numericsVersion`` to compute with.
    /// - Throws: The first option that is out of range.
    public init(
        options: Options, unitRoundoff: Double = .ulpOfOne, numerics: Int = numericsVersion
    ) throws(OptionError) {
        try options.validate()
        precondition(1...numericsVersion ~= numerics)
        self.options = options
        historySize = options.historySize
        self.unitRoundoff = unitRoundoff
        self.numerics = numerics
        progress = StepProgress(options: options)
    }

    /// Whether a step is running.
    public var isStepping: Bool { phase != .idle }
    /// The lowest finite loss since the optimizer was created, and the evaluation that found it.
    public var best: BestEvaluation? { carried.best }
    /// How many pairs the workers have.
    public var pairCount: Int { history.pairs.count }
}

// MARK: - Events

extension RemoteOptimizer {
    /// Begins a step, with an evaluation at the workers' x.
    /// - Precondition: No step is running. The options are valid.
    public mutating func beginStep(options stepOptions: Options? = nil) -> Directive {
        startCommand()
        return completed(begin(options: stepOptions))
    }

    /// Answers the pending evaluation.
    /// - Parameters:
    ///   - loss: f at the trial point.
    ///   - gradient: What is known of its gradient.
    /// - Precondition: A step is running, and the gradient has a product for each pair.
    public mutating func advance(loss: Double, gradient: RemoteGradient) -> Directive {
        precondition(gradient.has(pairs: pairCount), "\(gradient.pairCount) pairs")
        guard gradient.isFinite, loss.isFinite || canContinue(from: loss) else {
            return advanceInfeasible(loss: loss)
        }
        measureLine(gradient)
        var gradient = gradient
        gradient.stepLength = command.stepLength ?? 0
        startCommand()
        if phase == .evaluatingStart { command.accept = 0 }
        return completed(
            advance(
                loss: loss, gradient: gradient,
                Inspection(
                    isFinite: true, normInf: gradient.gradientNormInf,
                    slope: gradient.gradientDirection)))
    }

    /// Answers the pending evaluation: the point is infeasible.
    /// - Precondition: A step is running.
    public mutating func advanceInfeasible(loss: Double = .nan) -> Directive {
        startCommand()
        return completed(advanceFromInfeasible(loss: loss))
    }

    /// Ends the running step now, at the point with the lowest loss that it has seen.
    /// - Precondition: A step is running.
    public mutating func stop() -> StepResult {
        startCommand()
        return endAtBestPoint()
    }

    private mutating func startCommand() {
        command = RemoteCommand(number: command.number + 1)
    }

    /// Says in the command which gradients the search needs.
    private mutating func completed(_ directive: Directive) -> Directive {
        if case .searching = phase { command.retain = trialGradients.map(\.gradient.stepLength) }
        return directive
    }

    /// Takes over what the first trial of a line tells of the direction, and lets the search begin
    /// with it.
    private mutating func measureLine(_ gradient: RemoteGradient) {
        guard predictedSlope != nil else { return }
        predictedSlope = nil
        directionNormInf = gradient.directionNormInf
        directionSquared = gradient.directionSquared
        guard case .searching(let search) = phase else { return }
        phase = .searching(
            search.measured(
                slope: gradient.startDirection, directionNormInf: gradient.directionNormInf))
    }
}
