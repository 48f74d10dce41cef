internal import struct Foundation.Date

/// The hooks of a session, in the order in which they were registered or prepended, and the pending
/// call.
struct HookTable: Equatable, Sendable, Codable {
    /// A call that was answered, by which a repetition is recognised.
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

    /// Removes the hook, also from the pending call's remaining hooks.
    mutating func remove(_ id: String) {
        own.removeAll { $0.id == id }
        call?.rest.removeAll { $0.id == id }
    }

    /// In the order of their calls.
    func chain(_ event: HookEvent) -> [Hook] {
        (event.isBefore ? server + own : own + server).filter { $0.event == event }
    }

    /// Whether a call is pending. Every request asks: reading `call` would copy it.
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

/// A hook call, and the operation that continues when it is answered.
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
    /// Hooks of the same event that are called after this one.
    var rest: [Hook]
    var operation: Operation

    var fallback: HookDefault {
        if case .intercept(_, let fallback) = hook.action { fallback } else { .proceed }
    }
}

/// The outcome of an operation that hooks delayed.
indirect enum HookedOutcome: Equatable, Sendable {
    case read(StateDict)
    case loaded
    case aborted(HookEvent)
}
