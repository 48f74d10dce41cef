public import LBFGS

/// The contents of `torch.optim.Optimizer.state_dict()`. It is a value: a hook changes it by
/// returning a changed copy, while torch also lets it write into the dictionary.
public struct StateDict<Scalar: EngineScalar>: Equatable, Sendable {
    /// torch's `state`; nil before the first evaluation, as torch's is empty then.
    public var state: TorchState<Scalar>?
    /// torch's `param_groups[0]`.
    public var options: Options

    /// A state dict.
    public init(state: TorchState<Scalar>?, options: Options) {
        self.state = state
        self.options = options
    }
}
