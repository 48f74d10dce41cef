/// Theory of operation.
///
/// `Optimizer` is a value that calls nothing. This class gives it an identity, so that hooks can
/// be registered with it and can be handed it, in the order of `torch.optim.Optimizer`:
///
///     step              global pre, own pre, the step, own post, global post
///     stateDict         pre, the dictionary, post
///     loadStateDict     pre, loading, post
///
/// Hooks of a kind are called in the order of registration, prepended ones first. A replacement
/// that one returns is what the next one sees. What throws ends the call, and nothing that would
/// have come later is called. Each kind's hooks are looked up when their turn comes: one that is
/// registered by an earlier kind, or by the closure, takes part; one that is registered by its own
/// kind does from the next call on, where torch would fail.
public import LBFGS

/// An L-BFGS optimizer with the hooks of `torch.optim.Optimizer`.
///
///     let optimizer = HookedOptimizer(try Optimizer([-1.2, 1.0]))
///     let handle = optimizer.registerStepPostHook { optimizer, _ in print(optimizer.parameters) }
///     try optimizer.step { point in (loss(point), gradient(point)) }
///     handle.remove()
///
/// It is not `Sendable`: its hooks are called on the thread of whoever calls it, and may share
/// what they capture with that thread only. It can be sent to another task as a whole, or live in
/// an actor. No access to it is in progress while it calls a hook or a closure, so these may use
/// it, except to do what needs an optimizer that isn't stepping.
public final class HookedOptimizer<Scalar: EngineScalar>: AnyHookedOptimizer {
    public typealias Closure = StepArguments<Scalar>.Closure

    /// Called before a step. Returns what the step shall be given instead, or nil to leave it.
    public typealias StepPreHook =
        (HookedOptimizer, StepArguments<Scalar>) throws -> StepArguments<Scalar>?
    /// Called after a step, with what the step was given in the end.
    public typealias StepPostHook = (HookedOptimizer, StepArguments<Scalar>) throws -> Void
    /// Called before the state dict is made, or after one was loaded.
    public typealias Hook = (HookedOptimizer) throws -> Void
    /// Called with a state dict that was made or will be loaded. Returns another in its stead, or
    /// nil to leave it.
    public typealias StateDictHook =
        (HookedOptimizer, StateDict<Scalar>) throws -> StateDict<Scalar>?

    /// The engine, to look at; see `withOptimizer`.
    public private(set) var optimizer: Optimizer<Scalar>

    private let stepPreHooks = HookList<StepPreHook>()
    private let stepPostHooks = HookList<StepPostHook>()
    private let stateDictPreHooks = HookList<Hook>()
    private let stateDictPostHooks = HookList<StateDictHook>()
    private let loadStateDictPreHooks = HookList<StateDictHook>()
    private let loadStateDictPostHooks = HookList<Hook>()

    /// - Precondition: `optimizer` isn't stepping.
    public init(_ optimizer: Optimizer<Scalar>) {
        precondition(!optimizer.isStepping, "a step runs")
        self.optimizer = optimizer
    }

    public var options: Options {
        get { optimizer.options }
        set { optimizer.options = newValue }
    }

    /// x: the newest accepted point.
    public var parameters: [Scalar] { optimizer.parameters }
    public var loss: Double? { optimizer.loss }
    public var iterationCount: Int { optimizer.iterationCount }
    public var evaluationCount: Int { optimizer.evaluationCount }
    public var isStepping: Bool { optimizer.isStepping }

    /// Changes the engine between two steps, as `replaceParameters` and its like do. No hooks are
    /// called, and `change` must not use this object.
    /// - Precondition: no step runs, and `change` leaves none running.
    public func withOptimizer<Result, Failure: Error>(
        _ change: (inout Optimizer<Scalar>) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        precondition(!isStepping, "a step runs")
        defer { precondition(!isStepping, "the change has begun a step") }
        return try change(&optimizer)
    }
}

// MARK: - What is hooked

extension HookedOptimizer {
    /// Runs one step, as `Optimizer.step` does, between the hooks for it.
    ///
    /// If the closure throws, the step ends at the best point seen, and no post hook is called.
    /// - Precondition: no step runs.
    @discardableResult
    public func step(_ closure: @escaping Closure) throws -> StepResult {
        var arguments = StepArguments(closure: closure)
        for hook in GlobalHooks.preHooks {
            guard let replacement = try hook(self, arguments) else { continue }
            guard let replacement = replacement as? StepArguments<Scalar> else {
                throw HookError.wrongArguments(
                    expected: "\(StepArguments<Scalar>.self)", got: "\(type(of: replacement))")
            }
            arguments = replacement
        }
        for hook in stepPreHooks.hooks { arguments = try hook(self, arguments) ?? arguments }
        let result = try run(arguments.closure)
        for hook in stepPostHooks.hooks { try hook(self, arguments) }
        for hook in GlobalHooks.postHooks { try hook(self, arguments) }
        return result
    }

    /// The optimizer's state and options, between the hooks for it. O(m n) only if it is changed.
    public func stateDict() throws -> StateDict<Scalar> {
        for hook in stateDictPreHooks.hooks { try hook(self) }
        var dict = StateDict(state: optimizer.torchState, options: optimizer.options)
        for hook in stateDictPostHooks.hooks { dict = try hook(self, dict) ?? dict }
        return dict
    }

    /// Takes over a state and its options; the parameters stay. Throws `OptionError` or
    /// `TorchStateError` if they don't fit, and then changes nothing. O(m^2 n)
    /// - Precondition: no step runs.
    public func loadStateDict(_ dict: StateDict<Scalar>) throws {
        var dict = dict
        for hook in loadStateDictPreHooks.hooks { dict = try hook(self, dict) ?? dict }
        var loaded = optimizer
        try dict.options.validate()
        loaded.options = dict.options
        try loaded.load(dict.state)
        optimizer = loaded
        for hook in loadStateDictPostHooks.hooks { try hook(self) }
    }

    /// Event by event: `Optimizer.step` would hold on to the optimizer while the closure runs, and
    /// a closure that looks at it would trap.
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
    /// torch's `register_step_pre_hook`.
    /// - Parameter prepend: Whether to call it before this optimizer's others of its kind. The
    ///   hooks of all optimizers come before them in any case.
    @discardableResult
    public func registerStepPreHook(
        prepend: Bool = false, _ hook: @escaping StepPreHook
    ) -> HookHandle {
        stepPreHooks.add(hook, prepend: prepend)
    }

    /// torch's `register_step_post_hook`.
    /// - Parameter prepend: Whether to call it before this optimizer's others of its kind. The
    ///   hooks of all optimizers come after them in any case.
    @discardableResult
    public func registerStepPostHook(
        prepend: Bool = false, _ hook: @escaping StepPostHook
    ) -> HookHandle {
        stepPostHooks.add(hook, prepend: prepend)
    }

    /// torch's `register_state_dict_pre_hook`.
    /// - Parameter prepend: Whether to call it before the others of its kind.
    @discardableResult
    public func registerStateDictPreHook(
        prepend: Bool = false, _ hook: @escaping Hook
    ) -> HookHandle {
        stateDictPreHooks.add(hook, prepend: prepend)
    }

    /// torch's `register_state_dict_post_hook`.
    /// - Parameter prepend: Whether to call it before the others of its kind.
    @discardableResult
    public func registerStateDictPostHook(
        prepend: Bool = false, _ hook: @escaping StateDictHook
    ) -> HookHandle {
        stateDictPostHooks.add(hook, prepend: prepend)
    }

    /// torch's `register_load_state_dict_pre_hook`.
    /// - Parameter prepend: Whether to call it before the others of its kind.
    @discardableResult
    public func registerLoadStateDictPreHook(
        prepend: Bool = false, _ hook: @escaping StateDictHook
    ) -> HookHandle {
        loadStateDictPreHooks.add(hook, prepend: prepend)
    }

    /// torch's `register_load_state_dict_post_hook`.
    /// - Parameter prepend: Whether to call it before the others of its kind.
    @discardableResult
    public func registerLoadStateDictPostHook(
        prepend: Bool = false, _ hook: @escaping Hook
    ) -> HookHandle {
        loadStateDictPostHooks.add(hook, prepend: prepend)
    }
}
