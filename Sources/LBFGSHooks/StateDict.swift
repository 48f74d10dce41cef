public import LBFGS

/// What `torch.optim.Optimizer.state_dict()` holds. A value: a hook changes it by returning a
/// changed copy, where torch lets it write into the dictionary too.
public struct StateDict<Scalar: EngineScalar>: Equatable, Sendable {
    /// torch's `state`; nil before the first evaluation, as torch's is empty then.
    public var state: TorchState<Scalar>?
    /// torch's `param_groups[0]`.
    public var options: Options

    public init(state: TorchState<Scalar>?, options: Options) {
        self.state = state
        self.options = options
    }
}
