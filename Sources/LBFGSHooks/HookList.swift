/// Hooks of one kind, in the order in which they are called: that of registration, with those that
/// were prepended before it, the newest first. What torch keeps in an `OrderedDict`.
struct HookEntries<Hook> {
    private var entries: [(number: Int, hook: Hook)] = []
    /// Numbers are never used again, so that an old handle can't remove a newer hook.
    private var registered = 0

    /// A copy: hooks may register and remove others while they are called.
    var hooks: [Hook] { entries.map(\.hook) }

    mutating func add(_ hook: Hook, prepend: Bool) -> Int {
        registered += 1
        entries.insert((registered, hook), at: prepend ? 0 : entries.count)
        return registered
    }

    mutating func remove(_ number: Int) {
        entries.removeAll { $0.number == number }
    }
}

/// The hooks of one kind that one optimizer has. A class, so that handles can refer to it.
final class HookList<Hook> {
    private var entries = HookEntries<Hook>()

    var hooks: [Hook] { entries.hooks }

    func add(_ hook: Hook, prepend: Bool) -> HookHandle {
        let number = entries.add(hook, prepend: prepend)
        // As in torch, a handle doesn't keep alive what it belongs to.
        return HookHandle { [weak self] in self?.entries.remove(number) }
    }
}

/// Removes one hook from its optimizer: torch's `RemovableHandle`.
///
/// Letting go of the handle removes nothing. Like the optimizer it isn't `Sendable`.
public struct HookHandle {
    private let removal: () -> Void

    init(removal: @escaping () -> Void) {
        self.removal = removal
    }

    /// Removes the hook; again, or after the optimizer is gone, does nothing. Hooks of a kind that
    /// are just being called are called to the last, the removed one among them. O(hooks)
    public func remove() { removal() }
}
