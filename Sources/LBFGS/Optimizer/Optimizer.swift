/// An L-BFGS optimizer driven by reverse communication.
///
/// Theory of operation. The caller drives the optimizer, as with MINPACK's `dcsrch` (Moré &
/// Thuente 1994) and L-BFGS-B's `setulb` (Zhu, Byrd, Lu & Nocedal 1997). The optimizer calls
/// nothing. ``beginStep(options:)`` and ``advance(loss:gradient:)`` are events, and each returns a
/// ``Directive``: evaluate the loss and its gradient at ``trialPoint``, or nothing more because the
/// step is over. Between two events the state is a plain value. It can be copied, stored and
/// resumed, also in the middle of a line search, and the same events give the same bits.
///
/// A step is one call of `torch.optim.LBFGS.step(closure)`:
///
///     evaluate f and g at x, unless they are known
///     repeat
///         add the pair (s, y) of the last iteration to the history, if its curvature suffices
///         choose a direction d; check that it is one of descent
///         find a step length t: a fixed one, or by a line search along x + t d
///         x = x + t d
///     until a tolerance is met or a budget is spent
///
/// Both modes run on this one machine (`StepMachine+Iteration.swift`). They differ in their rules
/// for curvature, direction, search and termination: `TorchMode` and `RobustMode`.
///
/// Losses and gradients that are not finite make a trial point infeasible. They never move the
/// parameters and never enter the history; torch lets both happen. The line search contracts
/// towards the last feasible point, and a step without a line search ends. The exception is a step
/// that begins without a finite loss: see `canContinue(from:)`.
///
/// Memory: 2 m n numbers for m pairs of n parameters, and some ten vectors of n.
public struct Optimizer<Scalar: EngineScalar>: Sendable, Equatable {
    /// The ``numericsVersion`` that the optimizer began with. It never changes.
    public internal(set) var numerics: Int
    /// The options of the next step; a running step keeps those that it began with. They must
    /// satisfy ``Options/validate()``.
    public var options: Options
    /// x, the last accepted point; n numbers.
    public internal(set) var parameters: [Scalar]
    /// The point at which the pending evaluation is wanted; equal to ``parameters`` when none is.
    public internal(set) var trialPoint: [Scalar]
    /// Iterations since the optimizer was created: torch's `n_iter`.
    public internal(set) var iterationCount = 0
    /// Evaluations since the optimizer was created: torch's `func_evals`.
    public internal(set) var evaluationCount = 0
    /// The loss at ``parameters``, if it is known.
    public internal(set) var loss: Double?
    /// The lowest finite loss since the optimizer was created, and the evaluation that found it.
    public var best: BestEvaluation? { carried.best }

    var phase = StepPhase.idle
    var progress: StepProgress
    var carried = CarriedState()
    /// The gradient where `loss` was measured; empty before the first evaluation.
    var gradient: [Scalar] = []
    /// ||g||_inf; with bounds or an L1 term the same of the projected gradient.
    var gradientNormInf = Double.infinity
    /// d; empty before the first iteration.
    var direction: [Scalar] = []
    var directionNormInf = 0.0
    /// t of the last iteration. 0 means that the parameters did not move along `direction`.
    var stepLength = 0.0
    /// The gradient and the loss at the start of the last iteration; empty and nil before it.
    var previousGradient: [Scalar] = []
    var previousLoss: Double?
    /// The coefficients alpha of the two-loop recursion: torch's `al` without its padding; nil
    /// before the second iteration.
    var alphas: [Double]?
    var history = CurvatureHistory<Scalar>()
    /// Gradients of those trials of the line search that may still be accepted, by trial number.
    var trialGradients = TrialGradients<[Scalar]>()
    /// The point with the lowest loss of the step, while `progress.bestLocation` is `.saved`.
    var bestPoint: [Scalar] = []
    /// The gradient at `bestPoint`. Kept in robust mode only, which returns to that point itself.
    var bestGradient: [Scalar] = []
    /// Parameters that do not move, as ranges of indices.
    public internal(set) var frozenRanges: [Range<Int>] = []
    /// Bounds and L1 term.
    var box = BoxState<Scalar>()
    var face = FaceCache<Scalar>()
    var buffers = Buffers()

    /// Creates an optimizer with an empty history. O(n).
    /// - Parameters:
    ///   - parameters: The starting point x.
    ///   - options: The options of the steps.
    ///   - numerics: The ``numericsVersion`` to compute with, to reproduce the bits of an older
    ///     engine.
    /// - Precondition: There is at least one parameter, all parameters are finite, and `numerics`
    ///   is between 1 and ``numericsVersion``.
    /// - Throws: The first option that is out of range.
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
        progress = StepProgress(options: options)
    }

    /// Whether a step is running.
    public var isStepping: Bool { phase != .idle }

    /// The trial that ``advance(loss:gradient:)`` has to answer; nil when no step is running.
    public var pendingTrial: Trial? {
        switch phase {
        case .idle: nil
        case .evaluatingStart: Trial(stepLength: 0, iteration: 0)
        case .evaluatingFixedStep(let stepLength): trial(at: stepLength)
        case .searching(let search): trial(at: search.pendingStepLength)
        }
    }

    /// The gradient at ``parameters``, if it is known; n numbers. O(1).
    public var parametersGradient: [Scalar]? { carried.isEvaluated ? gradient : nil }

    /// The loss where the running step, or the last one, began; nil before it is known. O(1).
    public var stepLossBefore: Double? { progress.lossBefore }
}
