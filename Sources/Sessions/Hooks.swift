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
    var isBefore: Bool {
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

    var isIntercept: Bool {
        if case .intercept = action { true } else { false }
    }
}

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

/// A call of a hook that waits for its answer.
public struct HookCallView: Equatable, Sendable {
    /// What the hook may replace, or look at. Behind a reference, so that turns, few of which have
    /// a call, stay small.
    public indirect enum Subject: Equatable, Sendable {
        case nothing
        /// Of the step that is about to begin.
        case options(Options)
        case result(StepResult?)
        case stateDict(StateDict)
    }

    public var number: HookCallNumber
    public var hook: String
    public var event: HookEvent
    public var deadline: Date
    public var fallback: HookDefault
    public var subject: Subject
}

/// A client's answer to a hook's call.
public enum HookAnswer: Equatable, Sendable {
    case nothing
    /// Options of the step, replacing those that are named.
    case options(OptionsPatch)
    case stateDict(StateDict)
}

public typealias HookCallNumber = Int

/// The hooks of a session, in the order in which they were registered or prepended, and the call
/// that waits.
struct HookTable: Equatable, Sendable, Codable {
    /// A call that was answered, to know a repetition by.
    struct Answered: Equatable, Sendable, Codable {
        var number: HookCallNumber
        var digest: Digest
    }

    private static let answersKept = 16

    private(set) var own: [Hook] = []
    /// The operator's, as they were when the session was last changed under them.
    var server: [Hook] = []
    private(set) var made = 0
    var call: HookCall?
    private(set) var callsMade: HookCallNumber = 0
    private(set) var answered: [Answered] = []

    mutating func add(_ request: HookRequest, at time: Date) -> Hook {
        made += 1
        let hook = Hook(
            id: String(made), event: request.event, action: request.action, createdAt: time)
        own.insert(hook, at: request.isFirst ? 0 : own.count)
        return hook
    }

    /// Takes it out of the calls under way too.
    mutating func remove(_ id: String) {
        own.removeAll { $0.id == id }
        call?.rest.removeAll { $0.id == id }
    }

    /// In the order of their calls.
    func chain(_ event: HookEvent) -> [Hook] {
        (event.isBefore ? server + own : own + server).filter { $0.event == event }
    }

    /// Whether a call waits. Asked with every request: looking at `call` itself copies it.
    var isCalling: Bool { if case .some = call { true } else { false } }

    func intercepts(_ event: HookEvent) -> [Hook] { chain(event).filter(\.isIntercept) }

    /// Calls the first of the hooks; false if there is none.
    mutating func call(
        _ hooks: [Hook], for operation: HookCall.Operation, at time: Date
    ) -> Bool {
        call = nil
        guard let hook = hooks.first, case .intercept(let seconds, _) = hook.action else {
            return false
        }
        callsMade += 1
        call = HookCall(
            number: callsMade, hook: hook, deadline: time.addingTimeInterval(seconds),
            rest: Array(hooks.dropFirst()), operation: operation)
        return true
    }

    mutating func note(_ digest: Digest) {
        guard let call else { return }
        answered.append(Answered(number: call.number, digest: digest))
        answered.removeFirst(max(0, answered.count - HookTable.answersKept))
    }
}

/// A call of a hook, and what goes on when it is answered.
struct HookCall: Equatable, Sendable, Codable {
    indirect enum Operation: Equatable, Sendable, Codable {
        case beginStep(options: Options, shards: Int?)
        case endStep
        case readStateDict
        case loadStateDict
    }

    var number: HookCallNumber
    var hook: Hook
    var deadline: Date
    /// Hooks of the same event whose turn comes after this one.
    var rest: [Hook]
    var operation: Operation

    var fallback: HookDefault {
        if case .intercept(_, let fallback) = hook.action { fallback } else { .proceed }
    }
}

/// How an operation ended that had to wait for hooks.
indirect enum HookedOutcome: Equatable, Sendable {
    case read(StateDict)
    case loaded
    case aborted(HookEvent)
}
