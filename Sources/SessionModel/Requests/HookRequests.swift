/// A hook to register.
public struct HookRequest: Equatable, Sendable {
    public var event: HookEvent
    public var action: Hook.Action
    /// Before those that are registered already.
    public var isFirst: Bool

    public init(event: HookEvent, action: Hook.Action, isFirst: Bool = false) {
        self.event = event
        self.action = action
        self.isFirst = isFirst
    }
}

/// A client's answer to a hook's call.
public enum HookAnswer: Equatable, Sendable {
    case nothing
    /// Options of the step, replacing those that are named.
    case options(OptionsPatch)
    case stateDict(StateDict)
}
