/// The hooks of one kind in the order in which they are called: that of registration, after those
/// that were prepended, the newest of which is first. torch keeps them in an `OrderedDict`.
struct HookEntries<Hook> {
    private var entries: [(number: Int, hook: Hook)] = []
    /// Numbers are never reused, so that an old handle cannot remove a newer hook.
    private var registered = 0

    /// A copy, because hooks may register and remove others while they are called.
    var hooks: [Hook] { entries.map(\.hook) }

    /// Adds a hook and returns its number.
    mutating func add(_ hook: Hook, prepend: Bool) -> Int {
        registered += 1
        entries.insert((registered, hook), at: prepend ? 0 : entries.count)
        return registered
    }

    mutating func remove(_ number: Int) {
        entries.removeAll { $0.number == number }
    }
}

/// The hooks of one kind of one optimizer. A class, so that handles can refer to it.
final class HookList<Hook> {
    private var entries = HookEntries<Hook>()

    var hooks: [Hook] { entries.hooks }

    /// Passes a value through the hooks: each may return a replacement, which the next one gets.
    func transform<Value>(
        _ value: Value, by call: (Hook, Value) throws -> Value?
    ) throws -> Value {
        try hooks.reduce(value) { try call($1, $0) ?? $0 }
    }

    func add(_ hook: Hook, prepend: Bool) -> HookHandle {
        let number = entries.add(hook, prepend: prepend)
        // As in torch, a handle does not keep its optimizer alive.
        return HookHandle { [weak self] in self?.entries.remove(number) }
    }
}

/// Removes one hook from its optimizer: torch's `RemovableHandle`.
///
/// Discarding the handle does not remove the hook. Like the optimizer, it is not `Sendable`.
public struct HookHandle {
    private let removal: () -> Void

    init(removal: @escaping () -> Void) {
        self.removal = removal
    }

    /// Removes the hook. Does nothing if it was removed before, or if the optimizer no longer
    /// exists. If hooks of the same kind are being called, all of them are still called. O(hooks).
    public func remove() { removal() }
}
