public import LBFGS

/// What a step is given: torch's `args`, in which hooks can put something else.
public struct StepArguments<Scalar: EngineScalar>: AnyStepArguments {
    /// Called with x; returns f(x) and its gradient, as many numbers as x has.
    public typealias Closure = ([Scalar]) throws -> (loss: Double, gradient: [Scalar])

    public var closure: Closure

    public init(closure: @escaping Closure) {
        self.closure = closure
    }
}

/// `StepArguments` of whatever precision, for hooks of all optimizers:
///
///     guard let arguments = arguments as? StepArguments<Double> else { return nil }
public protocol AnyStepArguments {}

/// `HookedOptimizer` of whatever precision, for hooks of all optimizers. What needs the precision
/// is had by a cast, e.g. `optimizer as? HookedOptimizer<Double>`.
public protocol AnyHookedOptimizer: AnyObject {
    /// As in `Optimizer.options`; must satisfy `Options.validate`.
    var options: Options { get set }
    /// Loss at the newest accepted point, if it is known.
    var loss: Double? { get }
    /// Iterations over the optimizer's life.
    var iterationCount: Int { get }
    /// Evaluations over the optimizer's life.
    var evaluationCount: Int { get }
    /// Whether a step runs.
    var isStepping: Bool { get }
}

/// A hook's answer that can't be used.
public enum HookError: Error, Equatable, Sendable {
    /// A hook of all optimizers gave a step arguments of another precision than its own.
    case wrongArguments(expected: String, got: String)
}

extension HookError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .wrongArguments(let expected, let got):
            "A step's pre hook must return nil or \(expected), but it returned \(got)."
        }
    }
}
