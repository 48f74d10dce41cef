/// The machine of a step over an abstract set of vectors.
///
/// Everything that decides (iterations, modes, line searches, restarts, noise, termination) works
/// on scalars, and is written once, in extensions of this protocol. What a conforming type adds is
/// where its vectors are:
///
/// | type                | vectors                                      |
/// |---------------------|----------------------------------------------|
/// | ``Optimizer``       | arrays in this process                       |
/// | ``RemoteOptimizer`` | on workers; only their dot products are here |
///
/// A `Gradient` is what the machine keeps of an evaluation: the array, or the dot products with it.
/// The machine hands gradients on, and never looks into one.
protocol StepMachine {
    associatedtype Gradient: Equatable, Sendable

    // MARK: Scalars; `Optimizer` documents them.

    var numerics: Int { get }
    var options: Options { get set }
    var iterationCount: Int { get set }
    var evaluationCount: Int { get set }
    var loss: Double? { get set }
    var phase: StepPhase { get set }
    var progress: StepProgress { get set }
    var carried: CarriedState { get set }
    var gradientNormInf: Double { get set }
    var directionNormInf: Double { get set }
    var stepLength: Double { get set }
    var previousLoss: Double? { get set }

    /// The relative precision of the numbers in which the caller evaluates.
    var unitRoundoff: Double { get }
    /// Whether there are bounds or an L1 term.
    var isBoxed: Bool { get }
    /// In torch's order of operations, whether torch has the first step length in a tensor; nil
    /// elsewhere.
    var isFirstStepLengthTensor: Bool? { get }

    // MARK: Gradients

    /// The gradient where `loss` was measured.
    var gradient: Gradient { get set }
    /// Gradients of those trials of the line search that may still be accepted, by trial number.
    var trialGradients: TrialGradients<Gradient> { get set }
    /// ||g||_1
    var gradientNorm1: Double { get }
    /// Keeps the gradient at the start of an iteration, of which the next pair will be formed.
    mutating func retainGradientOfStart()
    /// Moves on to the gradient of an accepted trial, and sets `gradientNormInf`.
    /// - Parameter isNewest: Whether it is the trial that was evaluated last.
    mutating func takeTrialGradient(_ gradient: Gradient, isNewest: Bool)

    // MARK: History and direction

    var hasPairs: Bool { get }
    /// gamma of the newest pair.
    var initialScale: Double { get }
    mutating func removePairs()
    /// ||t d|| of the last iteration, and the larger of the norms of the gradients at its ends; nil
    /// if there was none, or the parameters did not move along the direction. O(n).
    var lastStepNorms: (step: Double, gradient: Double)? { get }
    /// Adds the pair of the last iteration to the history if y.s > `curvatureMin`, and prepares the
    /// next direction. O(m n). Returns whether the pair was added.
    mutating func addLastPair(curvatureMin: Double) -> Bool
    /// Prepares the next direction without a new pair. O(m n).
    mutating func prepareDirection()
    /// Sets the direction to -H g and `directionNormInf`, and returns the slope.
    mutating func computeDirection(placingTrialAt firstStepLength: Double) -> Double
    /// Sets the direction to -g and `directionNormInf`, and returns the slope. O(n).
    mutating func useNegativeGradient() -> Double
    /// Sets the direction to -c g with the given scale c, or one that makes the length of d 1, and
    /// `directionNormInf`, and returns the slope. O(n).
    mutating func useSteepestDescent(scale: Double?) -> Double
    /// The direction of an optimizer with bounds or an L1 term; nil without.
    mutating func chooseBoxDirectionIfAny() -> SearchDirection?

    // MARK: Points

    /// Places the first trial of a step, at the parameters.
    mutating func placeTrialAtParameters()
    /// Sets the trial point to x + t d and returns whether it is finite, as far as that is known.
    mutating func placeTrial(at stepLength: Double) -> Bool
    /// Whether the trial point is the point where the search began, as far as that is known.
    var isTrialAtStart: Bool { get }
    /// No trial is pending any more.
    mutating func clearTrialPoint()
    /// Moves the parameters to x + t d, and sets `stepLength`.
    /// - Parameter isTrial: Whether that is the trial point, as it was placed last.
    mutating func move(by stepLength: Double, isTrial: Bool)
    /// Moves the parameters to x + t d, outside an iteration.
    mutating func jump(by stepLength: Double)
    /// Moves the parameters to the point that was saved.
    mutating func jumpToSavedPoint()
    /// Moves the parameters to the point that was saved, and takes its gradient, or returns false
    /// if that is unknown.
    mutating func returnToSavedPointAndGradient() -> Bool
    /// Saves a point of the line as the step's best: x, or x + t d.
    /// - Parameter gradient: Its gradient, if that is to be saved.
    mutating func savePoint(at stepLength: Double?, gradient: Gradient?)
    /// Forgets the saved point.
    mutating func forgetSavedPoint()

    // MARK: Results

    /// What the newest evaluation was for the line search.
    var trialOutcome: TrialOutcome { get set }
    var resultGradientNormInf: Double? { get }
    /// What a result says of bounds or an L1 term; nil without.
    var boxResult: (projectedGradientNormInf: Double?, activeBounds: Int)? { get }
}
