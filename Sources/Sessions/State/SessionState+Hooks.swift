internal import struct Foundation.Date
internal import LBFGS

// Hooks: their registration, the pending call, and what continues when it is answered.

extension SessionState {
    mutating func addHook(_ request: HookRequest, at time: Date) -> (hook: Hook, change: Change) {
        let hook = scalars.hooks.add(request, at: time)
        return (hook, Change(entry: entry(.hooksChanged, at: time)))
    }

    /// A pending call of this hook counts as answered with nothing.
    mutating func removeHook(_ id: String, at time: Date) -> Change {
        scalars.hooks.remove(id)
        if scalars.hooks.call?.hook.id == id {
            return answer(.nothing, digest: nil, at: time)
        }
        return Change(entry: entry(.hooksChanged, at: time))
    }

    mutating func replaceServerHooks(_ hooks: [Hook], at time: Date) -> Change {
        scalars.hooks.server = hooks
        return Change(entry: entry(.hooksChanged, at: time))
    }

    /// The pending call, as its client sees it.
    var hookCall: HookCallView? {
        guard let call = scalars.hooks.call else { return nil }
        let subject: HookCallView.Subject =
            switch call.operation {
            case .beginStep(let options, _): .options(shown(options))
            case .endStep: .result(scalars.lastResult)
            case .readStateDict, .loadStateDict: hookedDict.map { .stateDict($0) } ?? .nothing
            }
        return HookCallView(
            number: call.number, hook: call.hook.id, event: call.hook.event,
            deadline: call.deadline, fallback: call.fallback, subject: subject)
    }

    /// What an answer replaces, validated.
    enum Replacement: Sendable {
        case nothing
        case options(Options)
        case stateDict(StateDict)
    }

    /// - Parameter digest: The answer's digest; nil when a default or a removed hook answers.
    /// - Precondition: a call waits, and the replacement is one that it allows.
    mutating func answer(
        _ replacement: Replacement, digest: Digest?, at time: Date
    ) -> Change {
        guard var call = scalars.hooks.call else { preconditionFailure("no hook is called") }
        if let digest { scalars.hooks.note(digest) }
        switch replacement {
        case .nothing: break
        case .options(let options):
            if case .beginStep(_, let shards) = call.operation {
                call.operation = .beginStep(options: options, shards: shards)
            }
        case .stateDict(let dict): hookedDict = dict
        }
        let isCalling = scalars.hooks.call(call.rest, for: call.operation, at: time)
        let effects = isCalling ? Effects() : resume(after: call, at: time)
        return Change(entry: entry(.hookAnswered, at: time), effects: effects)
    }

    /// Ends the operation that the call is about before it takes place.
    /// - Precondition: a call waits.
    mutating func abortHooked(at time: Date) -> Change {
        guard let call = scalars.hooks.call else { preconditionFailure("no hook is called") }
        scalars.hooks.call = nil
        hookedDict = nil
        var effects = Effects()
        switch call.operation {
        case .beginStep:
            let result = StepResult(
                reason: .stopped, lossBefore: nil, loss: loss, gradientNormInf: nil,
                iterations: 0, evaluations: 0)
            scalars.lastResult = result
            effects.step = StepRecord(
                number: scalars.step, startedAt: scalars.stepStartedAt, endedAt: time,
                firstEvaluation: scalars.stepFirstEvaluation,
                lastEvaluation: scalars.stepFirstEvaluation - 1, result: result)
        case .endStep: break
        case .readStateDict, .loadStateDict: effects.outcome = .aborted(call.hook.event)
        }
        return Change(entry: entry(.hookAnswered, at: time), effects: effects)
    }

    /// Begins to read the state dict. The outcome is known at once if no hook intercepts.
    mutating func readStateDict(at time: Date) -> Change {
        let isCalling = scalars.hooks.call(
            scalars.hooks.intercepts(.stateDictPre), for: .readStateDict, at: time)
        let effects = isCalling ? Effects() : makeStateDict(at: time)
        return Change(entry: entry(.hookCalled, at: time), effects: effects)
    }

    /// Begins to load a state dict that was checked.
    /// - Precondition: idle.
    mutating func beginLoad(_ dict: StateDict, at time: Date) -> Change {
        hookedDict = dict
        let isCalling = scalars.hooks.call(
            scalars.hooks.intercepts(.loadStateDictPre), for: .loadStateDict, at: time)
        let effects = isCalling ? Effects() : loadHooked(at: time)
        let kind: JournalEntry.Kind =
            scalars.hooks.call == nil ? .stateDictLoaded : .hookCalled
        return Change(entry: entry(kind, at: time), effects: effects)
    }

    /// Continues the operation that the last of an event's hooks has answered.
    private mutating func resume(after call: HookCall, at time: Date) -> Effects {
        switch call.hook.event {
        case .stepPre:
            guard case .beginStep(let options, let shards) = call.operation else {
                return Effects()
            }
            return startStep(options, shards: shards, at: time)
        case .stepPost: return Effects()
        case .stateDictPre: return makeStateDict(at: time)
        case .stateDictPost: return finishRead()
        case .loadStateDictPre: return loadHooked(at: time)
        case .loadStateDictPost: return finishLoad()
        }
    }

    private mutating func makeStateDict(at time: Date) -> Effects {
        hookedDict = stateDict
        let isCalling = scalars.hooks.call(
            scalars.hooks.intercepts(.stateDictPost), for: .readStateDict, at: time)
        return isCalling ? Effects() : finishRead()
    }

    private mutating func finishRead() -> Effects {
        defer { hookedDict = nil }
        return Effects(
            fired: [.stateDictPre, .stateDictPost], outcome: hookedDict.map { .read($0) })
    }

    private mutating func loadHooked(at time: Date) -> Effects {
        guard let dict = hookedDict else { return Effects() }
        hookedDict = nil
        do throws(TorchStateError) {
            try load(dict, options: dict.fullOptions(over: engine.options))
        } catch {
            // It was checked when it arrived: only a rule newer than the journal can fail here.
            return Effects(outcome: .aborted(.loadStateDictPre))
        }
        let isCalling = scalars.hooks.call(
            scalars.hooks.intercepts(.loadStateDictPost), for: .loadStateDict, at: time)
        return isCalling ? Effects() : finishLoad()
    }

    private func finishLoad() -> Effects {
        Effects(fired: [.loadStateDictPre, .loadStateDictPost], outcome: .loaded)
    }
}
