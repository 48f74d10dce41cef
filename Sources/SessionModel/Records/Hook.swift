public import struct Foundation.Date

/// When a hook is called: torch's six registrations.
public enum HookEvent: String, Equatable, Sendable, Codable, CaseIterable {
    case stepPre = "step.pre"
    case stepPost = "step.post"
    case stateDictPre = "state_dict.pre"
    case stateDictPost = "state_dict.post"
    case loadStateDictPre = "load_state_dict.pre"
    case loadStateDictPost = "load_state_dict.post"

    /// Before what it is about: the operator's hooks come first then, and last otherwise, as
    /// torch's global ones do.
    package var isBefore: Bool {
        switch self {
        case .stepPre, .stateDictPre, .loadStateDictPre: true
        case .stepPost, .stateDictPost, .loadStateDictPost: false
        }
    }
}

/// What happens when nobody answers a hook's call in time.
public enum HookDefault: String, Equatable, Sendable, Codable, CaseIterable {
    /// As if it had been answered with nothing.
    case proceed = "continue"
    /// What the hook is about doesn't take place: the step ends with `stopped` before its first
    /// evaluation, the state dict isn't read or loaded.
    case abort
}

/// A registered hook.
public struct Hook: Equatable, Sendable, Codable {
    public enum Action: Equatable, Sendable, Codable {
        /// The session waits for an answer, for so many seconds.
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
