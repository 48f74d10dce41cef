public import LBFGS

/// An L-BFGS optimizer with the hooks of `torch.optim.Optimizer`.
///
/// An `Optimizer` is a value that calls nothing. This class gives it an identity, with which hooks
/// can be registered and which hooks are called with. They run in the order of
/// `torch.optim.Optimizer`:
///
///     step              global pre hooks, own pre hooks, the step, own post hooks, global post
///     hooks stateDict         pre hooks, the dictionary, post hooks
///     loadStateDict     pre hooks, loading, post hooks
///
/// Hooks of a kind are called in the order of registration, prepended ones first. If a hook returns
/// a replacement, the next hook gets it. If a hook throws, the call ends, and no later hook is
/// called. The list of a kind's hooks is read when the first of them is due. A hook that is
/// registered by an earlier kind or by the closure therefore takes part. One that is registered by
/// a hook of its own kind takes part from the next call on, where torch would fail.
///
///     let optimizer = HookedOptimizer(try Optimizer([-1.2, 1.0]))
///     let handle = optimizer.registerStepPostHook { optimizer, _ in print(optimizer.parameters) }
///     try optimizer.step { point in (loss(point), gradient(point)) }
///     handle.remove()
///
/// The class is not `Sendable`: hooks are called on the calling thread, and may share what they
/// capture with that thread only. An instance can be sent to another task as a whole, or be owned
/// by an actor. No access to it is in progress while it calls a hook or a closure, so that these
/// may use it, except for what requires that no step is running.
public final class HookedOptimizer<Scalar: EngineScalar>: AnyHookedOptimizer {
    /// Evaluates the loss and its gradient at a point.
    public typealias Closure = StepArguments<Scalar>.Closure

    /// Called before a step. Returns other arguments for the step, or nil to keep them.
    public typealias StepPreHook =
        (HookedOptimizer, StepArguments<Scalar>) throws -> StepArguments<Scalar>?
    /// Called after a step, with the arguments that the step had in the end.
    public typealias StepPostHook = (HookedOptimizer, StepArguments<Scalar>) throws -> Void
    /// Called before the state dict is created, or after one was loaded.
    public typealias Hook = (HookedOptimizer) throws -> Void
    /// Called with a state dict that was created or will be loaded. Returns another one, or nil to
    /// keep it.
    public typealias StateDictHook =
        (HookedOptimizer, StateDict<Scalar>) throws -> StateDict<Scalar>?

    /// The engine, for reading; ``withOptimizer(_:)`` changes it.
    public private(set) var optimizer: Optimizer<Scalar>

    private let stepPreHooks = HookList<StepPreHook>()
    private let stepPostHooks = HookList<StepPostHook>()
    private let stateDictPreHooks = HookList<Hook>()
    private let stateDictPostHooks = HookList<StateDictHook>()
    private let loadStateDictPreHooks = HookList<StateDictHook>()
    private let loadStateDictPostHooks = HookList<Hook>()

    /// Wraps an optimizer. O(1).
    /// - Parameter optimizer: The engine to start with.
    /// - Precondition: `optimizer` has no running step.
    public init(_ optimizer: Optimizer<Scalar>) {
        precondition(!optimizer.isStepping, "a step runs")
        self.optimizer = optimizer
    }

    /// The options of the next step. They must satisfy `Options.validate`.
    public var options: Options {
        get { optimizer.options }
        set { optimizer.options = newValue }
    }

    /// x, the last accepted point; n numbers.
    public var parameters: [Scalar] { optimizer.parameters }
    /// The loss at ``parameters``, if it is known.
    public var loss: Double? { optimizer.loss }
    /// Iterations over the optimizer's life: torch's `n_iter`.
    public var iterationCount: Int { optimizer.iterationCount }
    /// Evaluations over the optimizer's life: torch's `func_evals`.
    public var evaluationCount: Int { optimizer.evaluationCount }
    /// Whether a step is running.
    public var isStepping: Bool { optimizer.isStepping }

    /// Changes the engine between two steps, for example by `replaceParameters`. No hooks are
    /// called.
    /// - Parameter change: Changes the optimizer that it gets. It must not use this object.
    /// - Precondition: No step is running, and `change` leaves none running.
    /// - Returns: What `change` returns.
    /// - Throws: What `change` throws.
    public func withOptimizer<Result, Failure: Error>(
        _ change: (inout Optimizer<Scalar>) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        precondition(!isStepping, "a step runs")
        defer { precondition(!isStepping, "the change has begun a step") }
        return try change(&optimizer)
    }
}

// MARK: - Hooked operations

extension HookedOptimizer {
    /// Runs one step like `Optimizer.step`, between the step hooks.
    ///
    /// If the closure throws, the step ends at the best point seen, and no post hook is called.
    /// - Parameter closure: Evaluates the loss and its gradient at a point.
    /// - Precondition: No step is running.
    /// - Returns: The step's result.
    /// - Throws: What the closure or a hook throws, or ``HookError``.
    @discardableResult
    public func step(_ closure: @escaping Closure) throws -> StepResult {
        var arguments = StepArguments(closure: closure)
        for hook in GlobalHooks.pre.hooks {
            guard let replacement = try hook(self, arguments) else { continue }
            guard let replacement = replacement as? StepArguments<Scalar> else {
                throw HookError.wrongArguments(
                    expected: "\(StepArguments<Scalar>.self)", got: "\(type(of: replacement))")
            }
            arguments = replacement
        }
        arguments = try stepPreHooks.transform(arguments) { try $0(self, $1) }
        let result = try run(arguments.closure)
        for hook in stepPostHooks.hooks { try hook(self, arguments) }
        for hook in GlobalHooks.post.hooks { try hook(self, arguments) }
        return result
    }

    /// The optimizer's state and options, between the state dict hooks. O(m n).
    /// - Returns: The state dict, as the last post hook left it.
    /// - Throws: What a hook throws.
    public func stateDict() throws -> StateDict<Scalar> {
        for hook in stateDictPreHooks.hooks { try hook(self) }
        let dict = StateDict(state: optimizer.torchState, options: optimizer.options)
        return try stateDictPostHooks.transform(dict) { try $0(self, $1) }
    }

    /// Replaces the state and the options, but not the parameters, between the loading hooks.
    /// O(m^2 n).
    /// - Parameter dict: The state dict to load.
    /// - Precondition: No step is running.
    /// - Throws: `OptionError` or `TorchStateError` if the state dict does not fit, and then
    ///   nothing has changed; or what a hook throws.
    public func loadStateDict(_ dict: StateDict<Scalar>) throws {
        let dict = try loadStateDictPreHooks.transform(dict) { try $0(self, $1) }
        var loaded = optimizer
        try dict.options.validate()
        loaded.options = dict.options
        try loaded.load(dict.state)
        optimizer = loaded
        for hook in loadStateDictPostHooks.hooks { try hook(self) }
    }

    /// Runs a step event by event. `Optimizer.step` would have exclusive access to the optimizer
    /// while the closure runs, and a closure that reads it would trap.
    private func run(_ closure: Closure) throws -> StepResult {
        var directive = optimizer.beginStep()
        while true {
            switch directive {
            case .finished(let result):
                return result
            case .evaluate:
                do {
                    let (loss, gradient) = try closure(optimizer.trialPoint)
                    directive = optimizer.advance(loss: loss, gradient: gradient)
                } catch {
                    _ = optimizer.stop()
                    throw error
                }
            }
        }
    }
}

// MARK: - Registration

extension HookedOptimizer {
    /// Registers a hook that is called before each step: torch's `register_step_pre_hook`.
    /// - Parameters:
    ///   - prepend: Whether to call it before this optimizer's other hooks of its kind. Global
    ///     hooks come before them in any case.
    ///   - hook: The hook.
    /// - Returns: A handle that removes the hook.
    @discardableResult
    public func registerStepPreHook(
        prepend: Bool = false, _ hook: @escaping StepPreHook
    ) -> HookHandle {
        stepPreHooks.add(hook, prepend: prepend)
    }

    /// Registers a hook that is called after each step: torch's `register_step_post_hook`.
    /// - Parameters:
    ///   - prepend: Whether to call it before this optimizer's other hooks of its kind. Global
    ///     hooks come after them in any case.
    ///   - hook: The hook.
    /// - Returns: A handle that removes the hook.
    @discardableResult
    public func registerStepPostHook(
        prepend: Bool = false, _ hook: @escaping StepPostHook
    ) -> HookHandle {
        stepPostHooks.add(hook, prepend: prepend)
    }

    /// Registers a hook that is called before the state dict is created:
    /// torch's `register_state_dict_pre_hook`.
    /// - Parameters:
    ///   - prepend: Whether to call it before the other hooks of its kind.
    ///   - hook: The hook.
    /// - Returns: A handle that removes the hook.
    @discardableResult
    public func registerStateDictPreHook(
        prepend: Bool = false, _ hook: @escaping Hook
    ) -> HookHandle {
        stateDictPreHooks.add(hook, prepend: prepend)
    }

    /// Registers a hook that is called with each state dict that was created:
    /// torch's `register_state_dict_post_hook`.
    /// - Parameters:
    ///   - prepend: Whether to call it before the other hooks of its kind.
    ///   - hook: The hook.
    /// - Returns: A handle that removes the hook.
    @discardableResult
    public func registerStateDictPostHook(
        prepend: Bool = false, _ hook: @escaping StateDictHook
    ) -> HookHandle {
        stateDictPostHooks.add(hook, prepend: prepend)
    }

    /// Registers a hook that is called with each state dict before it is loaded:
    /// torch's `register_load_state_dict_pre_hook`.
    /// - Parameters:
    ///   - prepend: Whether to call it before the other hooks of its kind.
    ///   - hook: The hook.
    /// - Returns: A handle that removes the hook.
    @discardableResult
    public func registerLoadStateDictPreHook(
        prepend: Bool = false, _ hook: @escaping StateDictHook
    ) -> HookHandle {
        loadStateDictPreHooks.add(hook, prepend: prepend)
    }

    /// Registers a hook that is called after a state dict was loaded:
    /// torch's `register_load_state_dict_post_hook`.
    /// - Parameters:
    ///   - prepend: Whether to call it before the other hooks of its kind.
    ///   - hook: The hook.
    /// - Returns: A handle that removes the hook.
    @discardableResult
    public func registerLoadStateDictPostHook(
        prepend: Bool = false, _ hook: @escaping Hook
    ) -> HookHandle {
        loadStateDictPostHooks.add(hook, prepend: prepend)
    }
}
