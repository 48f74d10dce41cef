public import struct Foundation.Date

/// The events that a hook can be registered for: torch's six registrations.
public enum HookEvent: String, Equatable, Sendable, Codable, CaseIterable {
    case stepPre = "step.pre"
    case stepPost = "step.post"
    case stateDictPre = "state_dict.pre"
    case stateDictPost = "state_dict.post"
    case loadStateDictPre = "load_state_dict.pre"
    case loadStateDictPost = "load_state_dict.post"

    /// Whether the hook runs before its operation. The operator's hooks then come first, and last
    /// otherwise, as torch's global ones do.
    package var isBefore: Bool {
        switch self {
        case .stepPre, .stateDictPre, .loadStateDictPre: true
        case .stepPost, .stateDictPost, .loadStateDictPost: false
        }
    }
}

/// What happens when a hook call is not answered in time.
public enum HookDefault: String, Equatable, Sendable, Codable, CaseIterable {
    /// As if it had been answered with nothing.
    case proceed = "continue"
    /// The operation does not take place: the step ends with `stopped` before its first
    /// evaluation, or the state dict is not read or loaded.
    case abort
}

/// A registered hook.
public struct Hook: Equatable, Sendable, Codable {
    public enum Action: Equatable, Sendable, Codable {
        /// The session waits for an answer for `deadlineSeconds`.
        case intercept(deadlineSeconds: Double, fallback: HookDefault)
        /// A signed message is posted to the URL afterwards. The secret is Standard Webhooks'
        /// `whsec_...`.
        case observe(url: String, secret: String)
    }

    /// A number in decimal; `server-1` and so on are the operator's.
    public var id: String
    public var event: HookEvent
    public var action: Action
    public var createdAt: Date

    public init(id: String, event: HookEvent, action: Action, createdAt: Date) {
        self.id = id
        self.event = event
        self.action = action
        self.createdAt = createdAt
    }

    package var isIntercept: Bool {
        if case .intercept = action { true } else { false }
    }
}
