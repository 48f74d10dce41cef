internal import Synchronization

/// Called before each step of each ``HookedOptimizer`` in the process, with the step's arguments.
/// Returns other arguments of the same precision, or nil to keep them. May be called on several
/// threads at once. If it throws, the step does not begin.
public typealias GlobalStepPreHook =
    @Sendable (any AnyHookedOptimizer, any AnyStepArguments) throws -> (any AnyStepArguments)?

/// Called after each step of each ``HookedOptimizer`` in the process, with the arguments that the
/// step had in the end. May be called on several threads at once.
public typealias GlobalStepPostHook =
    @Sendable (any AnyHookedOptimizer, any AnyStepArguments) throws -> Void

/// Registers a hook that is called before each step of every optimizer, whenever that was created,
/// and before the optimizer's own hooks: torch's `register_optimizer_step_pre_hook`.
/// - Parameters:
///   - prepend: Whether to call it before the global hooks that are registered already.
///   - hook: The hook.
/// - Returns: A handle that removes the hook.
@discardableResult
public func registerOptimizerStepPreHook(
    prepend: Bool = false, _ hook: @escaping GlobalStepPreHook
) -> GlobalHookHandle {
    GlobalHooks.pre.add(hook, prepend: prepend)
}

/// Registers a hook that is called after each step of every optimizer, whenever that was created,
/// and after the optimizer's own hooks: torch's `register_optimizer_step_post_hook`.
/// - Parameters:
///   - prepend: Whether to call it before the global hooks that are registered already.
///   - hook: The hook.
/// - Returns: A handle that removes the hook.
@discardableResult
public func registerOptimizerStepPostHook(
    prepend: Bool = false, _ hook: @escaping GlobalStepPostHook
) -> GlobalHookHandle {
    GlobalHooks.post.add(hook, prepend: prepend)
}

/// Removes one of the process's hooks, from any thread.
///
/// Discarding the handle does not remove the hook.
public struct GlobalHookHandle: Sendable {
    private let removal: @Sendable () -> Void

    fileprivate init(removal: @escaping @Sendable () -> Void) {
        self.removal = removal
    }

    /// Removes the hook; a second call does nothing. A step that is calling global hooks at that
    /// moment still calls all of them. O(hooks).
    public func remove() { removal() }
}

/// The process's hooks.
enum GlobalHooks {
    static let pre = GlobalHookList<GlobalStepPreHook>()
    static let post = GlobalHookList<GlobalStepPostHook>()
}

/// The process's hooks of one kind. They are called without the lock, so that they may register
/// others.
final class GlobalHookList<Hook: Sendable>: Sendable {
    private let entries = Mutex(HookEntries<Hook>())

    var hooks: [Hook] { entries.withLock { $0.hooks } }

    fileprivate func add(_ hook: Hook, prepend: Bool) -> GlobalHookHandle {
        let number = entries.withLock { $0.add(hook, prepend: prepend) }
        return GlobalHookHandle { self.entries.withLock { $0.remove(number) } }
    }
}
