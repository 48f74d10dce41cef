internal import Synchronization

/// Called before each step of each `HookedOptimizer` in the process, with what the step was given.
/// Returns what the step shall be given instead, in the same precision, or nil to leave it.
/// May be called on several threads at once. If it throws, the step doesn't begin.
public typealias GlobalStepPreHook =
    @Sendable (any AnyHookedOptimizer, any AnyStepArguments) throws -> (any AnyStepArguments)?

/// Called after each step of each `HookedOptimizer` in the process, with what the step was given
/// in the end. May be called on several threads at once.
public typealias GlobalStepPostHook =
    @Sendable (any AnyHookedOptimizer, any AnyStepArguments) throws -> Void

/// `torch.optim.optimizer.register_optimizer_step_pre_hook`: for all optimizers, whenever made.
/// They are called before an optimizer's own.
/// - Parameter prepend: Whether to call it before those that are registered already.
@discardableResult
public func registerOptimizerStepPreHook(
    prepend: Bool = false, _ hook: @escaping GlobalStepPreHook
) -> GlobalHookHandle {
    let number = GlobalHooks.pre.withLock { $0.add(hook, prepend: prepend) }
    return GlobalHookHandle { GlobalHooks.pre.withLock { $0.remove(number) } }
}

/// `torch.optim.optimizer.register_optimizer_step_post_hook`: for all optimizers, whenever made.
/// They are called after an optimizer's own.
/// - Parameter prepend: Whether to call it before those that are registered already.
@discardableResult
public func registerOptimizerStepPostHook(
    prepend: Bool = false, _ hook: @escaping GlobalStepPostHook
) -> GlobalHookHandle {
    let number = GlobalHooks.post.withLock { $0.add(hook, prepend: prepend) }
    return GlobalHookHandle { GlobalHooks.post.withLock { $0.remove(number) } }
}

/// Removes one of the process's hooks, from any thread.
///
/// Letting go of the handle removes nothing.
public struct GlobalHookHandle: Sendable {
    private let removal: @Sendable () -> Void

    init(removal: @escaping @Sendable () -> Void) {
        self.removal = removal
    }

    /// Removes the hook; again does nothing. A step that is just calling such hooks calls them to
    /// the last, the removed one among them. O(hooks)
    public func remove() { removal() }
}

/// The process's hooks. They are called without the lock, so that they may register others.
enum GlobalHooks {
    fileprivate static let pre = Mutex(HookEntries<GlobalStepPreHook>())
    fileprivate static let post = Mutex(HookEntries<GlobalStepPostHook>())

    static var preHooks: [GlobalStepPreHook] { pre.withLock { $0.hooks } }
    static var postHooks: [GlobalStepPostHook] { post.withLock { $0.hooks } }
}
