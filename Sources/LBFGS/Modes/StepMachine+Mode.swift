// The modes as strategies: everything in which they differ is asked here, and answered in
// `TorchMode.swift` and `RobustMode.swift`. The machine in `StepMachine+Iteration.swift` knows
// no mode.
//
// | question              | torch                             | robust                          |
// |-----------------------|-----------------------------------|---------------------------------|
// | begin an iteration?   | always                            | budget left, and no stagnation  |
// | curvature of a pair   | y.s > 1e-10                       | y.s above the evaluation's noise|
// | direction             | -H g; -g in the first iteration   | -H g; scaled -g without history |
// | first trial           | lr; scaled in the first iteration | 1; lr in the first iteration    |
// | descent               | g.d <= -tolerance_change          | g.d < 0                         |
// | line search           | none, or torch's strong Wolfe     | `BudgetedLineSearch`            |
// | a search fails        | stays where it began              | restarts twice, then ends       |
// | tests of termination  | budgets first                     | tolerances first                |
// | the step ends         | where it stands                   | at its best point               |
//
// What another kind of problem plugs into:
// - a direction of its own is a `chooseBoxDirectionIfAny`, in mode `robust`;
// - a path that is not straight is another `placeTrial` and `move`: P(x + t d) with bounds. The
//   step is then no longer t d, and takes the direction's place (`replaceDirectionByStep`);
// - vectors that live elsewhere are another `StepMachine`.

/// A direction that was chosen, in scalars; the vector is `Optimizer.direction`.
struct SearchDirection {
    /// g.d
    var slope: Double
    /// The step length to try first.
    var firstStepLength: Double
    /// With bounds, the step length at which the path leaves its straight part.
    var bend: Double?
}

extension StepMachine {
    /// Why the step ends rather than begin another iteration.
    mutating func reasonNotToIterate() -> StopReason? {
        switch progress.options.mode {
        case .torch: nil
        case .robust: robustReasonNotToIterate()
        }
    }

    /// Adds the pair of the last iteration to the history, if its curvature suffices, and sets the
    /// direction. O(m n).
    mutating func chooseDirection() -> SearchDirection {
        switch progress.options.mode {
        case .torch: chooseTorchDirection()
        case .robust: chooseRobustDirection()
        }
    }

    func isDescent(slope: Double) -> Bool {
        switch progress.options.mode {
        case .torch: !(slope > -progress.options.toleranceChange)
        case .robust: slope < 0
        }
    }

    /// Begins the line search along the direction, or moves by the first step length without one.
    mutating func beginSearch(along line: SearchDirection) -> Directive {
        switch progress.options.mode {
        case .torch: beginTorchSearch(along: line)
        case .robust: beginRobustSearch(along: line)
        }
    }

    /// Goes on after a line search that found no acceptable trial.
    mutating func recover(from search: LineSearch, lower: Double, upper: Double) -> Directive {
        guard case .budgeted(let budgeted) = search else {
            preconditionFailure("torch's search stays at its start rather than give up: \(search)")
        }
        return restart(after: budgeted, lower: lower, upper: upper)
    }

    /// Whether a trial of this loss becomes the best point of the step. With equal losses torch
    /// mode takes the newer point and robust mode the older one, as its searches do.
    func isBetter(_ loss: Double, than best: Double) -> Bool {
        switch progress.options.mode {
        case .torch: loss <= best
        case .robust: loss < best
        }
    }

    /// Whether the gradient at the step's best point is saved with it.
    var savesBestGradient: Bool { progress.options.mode == .robust }

    /// Whether a step that ends for this reason goes back to its best point.
    func returnsToBest(after reason: StopReason) -> Bool {
        switch progress.options.mode {
        case .torch: false
        case .robust: robustReturnsToBest(after: reason)
        }
    }

    /// The tests of termination at the current point.
    var terminationTest: TerminationTest {
        TerminationTest(
            options: progress.options, iterations: progress.iterations,
            evaluations: progress.evaluations, gradientNormInf: gradientNormInf,
            initialGradientNormInf: carried.initialGradientNormInf, stepLength: stepLength,
            directionNormInf: directionNormInf, loss: loss, previousLoss: previousLoss)
    }

    var isOptimal: Bool { terminationTest.isOptimal(gradientNormInf) }

    /// Why the step ends after an iteration.
    func reasonToStop() -> StopReason? {
        switch progress.options.mode {
        case .torch: terminationTest.torchReason()
        case .robust: terminationTest.robustReason()
        }
    }
}
