public import LBFGS

/// The arguments of a step, torch's `args`. Hooks can replace them.
public struct StepArguments<Scalar: EngineScalar>: AnyStepArguments {
    /// Called with x; returns f(x) and its gradient, as many numbers as x has.
    public typealias Closure = ([Scalar]) throws -> (loss: Double, gradient: [Scalar])

    /// Evaluates the loss and its gradient at a point.
    public var closure: Closure

    /// Arguments.
    public init(closure: @escaping Closure) {
        self.closure = closure
    }
}

/// A ``StepArguments`` of either precision, for global hooks. A cast gives the precision:
///
///     guard let arguments = arguments as? StepArguments<Double> else { return nil }
public protocol AnyStepArguments {}

/// A ``HookedOptimizer`` of either precision, for global hooks. A cast gives the precision, for
/// example `optimizer as? HookedOptimizer<Double>`.
public protocol AnyHookedOptimizer: AnyObject {
    /// The options of the next step. They must satisfy `Options.validate`.
    var options: Options { get set }
    /// The loss at the last accepted point, if it is known.
    var loss: Double? { get }
    /// Iterations over the optimizer's life.
    var iterationCount: Int { get }
    /// Evaluations over the optimizer's life.
    var evaluationCount: Int { get }
    /// Whether a step is running.
    var isStepping: Bool { get }
}

/// A hook returned something that cannot be used.
public enum HookError: Error, Equatable, Sendable {
    /// A global pre hook returned arguments of another precision than the step's.
    case wrongArguments(expected: String, got: String)
}

extension HookError: CustomStringConvertible {
    /// What happened, and what the hook must return.
    public var description: String {
        switch self {
        case .wrongArguments(let expected, let got):
            "A step's pre hook must return nil or \(expected), but it returned \(got)."
        }
    }
}
