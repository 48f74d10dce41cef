internal import struct Foundation.Date

extension Session {
    /// The session's own hooks in the order of their calls, then the operator's.
    public func hooks() async throws(CallError) -> [Hook] {
        try await exclusively { () async throws(SessionError) in
            state.scalars.hooks.own + hooking.serverHooks
        }
    }

    public func hook(_ id: String) async throws(CallError) -> Hook {
        try await exclusively { () async throws(SessionError) in
            let all = state.scalars.hooks.own + hooking.serverHooks
            guard let hook = all.first(where: { $0.id == id }) else {
                throw .notFound(.hook, id: id)
            }
            return hook
        }
    }

    func isRegistered(_ id: String) async throws(CallError) -> Bool {
        try await exclusively { () async throws(SessionError) in
            (state.scalars.hooks.own + hooking.serverHooks).contains { $0.id == id }
        }
    }

    public func addHook(
        _ request: HookRequest, idempotency key: IdempotencyKey? = nil,
        precondition: Precondition = .none
    ) async throws(CallError) -> Outcome<Hook> {
        try await exclusively(changing: true) { () async throws(SessionError) in
            if let earlier = try await earlier(key, scope: "hooks") {
                guard let hook = state.scalars.hooks.own.first(where: { $0.id == earlier.outcome })
                else { throw .notFound(.hook, id: earlier.outcome) }
                return Outcome(hook, isReplay: true)
            }
            try check(precondition)
            let request = try validated(request)
            let time = now()
            let (hook, change) = state.addHook(request, at: time)
            try await commit(
                change, idempotencyRecord(key, scope: "hooks", outcome: hook.id, at: time))
            return Outcome(hook)
        }
    }

    private func validated(_ request: HookRequest) throws(SessionError) -> HookRequest {
        let count = state.scalars.hooks.own.count
        guard count < limits.hooksMax else {
            throw .overloaded(limit: .hooks, maximum: limits.hooksMax, retryAfterSeconds: 60)
        }
        var request = request
        switch request.action {
        case .intercept(let seconds, _):
            let isStep = request.event == .stepPre || request.event == .stepPost
            let maximum = isStep ? limits.hookSecondsMax : limits.waitSecondsMax
            guard seconds > 0, seconds <= maximum else {
                throw .invalid([
                    FieldError(
                        field: "deadline_seconds",
                        reason: "must be above 0 and at most \(Int(maximum)) for "
                            + request.event.rawValue)
                ])
            }
        case .observe(let url, let secret):
            guard url.unicodeScalars.count <= limits.urlLengthMax else {
                throw .invalid([
                    FieldError(
                        field: "url", reason: "must have at most \(limits.urlLengthMax) characters")
                ])
            }
            do throws(HookTargetError) {
                try hooking.checkTarget(url)
            } catch {
                throw .invalid([FieldError(field: "url", reason: error.reason)])
            }
            if secret.isEmpty {
                request.action = .observe(url: url, secret: hooking.makeSecret())
            } else {
                do throws(HookTargetError) {
                    try hooking.checkSecret(secret)
                } catch {
                    throw .invalid([FieldError(field: "secret", reason: error.reason)])
                }
            }
        }
        return request
    }

    public func removeHook(
        _ id: String, precondition: Precondition = .none
    ) async throws(CallError) {
        try await exclusively(changing: true) { () async throws(SessionError) in
            guard state.scalars.hooks.own.contains(where: { $0.id == id }) else {
                throw .notFound(.hook, id: id)
            }
            try check(precondition)
            try await commit(state.removeHook(id, at: now()))
        }
    }

    /// Refuses what sends messages to webhooks while too many of the session's wait. They are
    /// counted in the store when as many were added as there may be.
    func checkOutbox() async throws(SessionError) {
        let hooks = state.scalars.hooks
        guard (hooks.own + hooks.server).contains(where: { !$0.isIntercept }) else { return }
        if let deliveriesAtMost, deliveriesAtMost < limits.deliveriesMax { return }
        let count = try await read { store throws(StoreError) in
            try await store.pendingDeliveryCount(of: id)
        }
        deliveriesAtMost = count
        guard count < limits.deliveriesMax else {
            throw .overloaded(
                limit: .deliveries, maximum: limits.deliveriesMax, retryAfterSeconds: 60)
        }
    }

    /// Brings the operator's hooks into the state, where a replay finds those that were in force.
    func adoptServerHooks() async throws(SessionError) {
        guard state.scalars.hooks.server != hooking.serverHooks else { return }
        try await commit(state.replaceServerHooks(hooking.serverHooks, at: now()))
    }
}

// MARK: - Calls and answers

extension Session {
    /// Durable when it returns, and applied exactly once, however often it is called.
    /// - Parameter digest: The digest of the answer as the client sent it.
    public func answer(
        _ number: HookCallNumber, _ answer: HookAnswer, digest: Digest,
        precondition: Precondition = .none
    ) async throws(CallError) -> Outcome<Turn> {
        try await exclusively(changing: true) { () async throws(SessionError) in
            let hooks = state.scalars.hooks
            guard number >= 1, number <= hooks.callsMade else { throw .hookCallNotReached(number) }
            guard let call = hooks.call, call.number == number else {
                guard let told = hooks.answered.first(where: { $0.number == number }) else {
                    throw .hookCallClosed(number)
                }
                guard told.digest == digest else { throw .alreadyAnswered(number) }
                return Outcome(turn, isReplay: true)
            }
            try check(precondition)
            let replacement = try replacement(answer, for: call)
            try await commit(state.answer(replacement, digest: digest, at: now()))
            return Outcome(turn)
        }
    }

    private func replacement(
        _ answer: HookAnswer, for call: HookCall
    ) throws(SessionError) -> SessionState.Replacement {
        func refuse(_ field: String) -> SessionError {
            .invalid([
                FieldError(field: field, reason: "can't be replaced by \(call.hook.event.rawValue)")
            ])
        }
        switch answer {
        case .nothing: return .nothing
        case .options(let patch):
            guard case .beginStep(let options, _) = call.operation else { throw refuse("options") }
            try patch.checkMaximizeUnchanged(state.scalars.isMaximizing)
            let replaced = try patch.applied(to: options, isCreation: false)
            try limits.checkHistoryFitsMemory(
                count: state.layout.count, dtype: state.dtype, options: replaced,
                bounds: state.engine.sessionBounds.footprint)
            try state.check(replaced)
            return .options(replaced)
        case .stateDict(let dict):
            switch call.hook.event {
            case .stateDictPost: return .stateDict(try complete(dict))
            case .loadStateDictPre: return .stateDict(try checked(dict, matching: .position))
            case .stepPre, .stepPost, .stateDictPre, .loadStateDictPost:
                throw refuse("state_dict")
            }
        }
    }

    /// The dict with all options named, so that it can be stored as it is.
    private func complete(_ dict: StateDict) throws(SessionError) -> StateDict {
        var dict = dict
        let options = try dict.options.applied(to: state.engine.options, isCreation: false)
        try limits.checkHistoryFitsMemory(
            count: state.layout.count, dtype: state.dtype, options: options,
            bounds: state.engine.sessionBounds.footprint)
        try limits.check(dict)
        dict.options = OptionsPatch(torch: options)
        return dict
    }

    /// Sees to it that the default of the call that waits applies in time.
    func armHookDeadline() {
        hookTimer?.cancel()
        hookTimer = nil
        guard let call = state.scalars.hooks.call else { return }
        let seconds = max(0, call.deadline.timeIntervalSince(now()))
        hookTimer = Task { [weak self] in
            guard (try? await Task.sleep(for: .seconds(seconds))) != nil else { return }
            await self?.expire(call.number)
        }
    }

    private func expire(_ number: HookCallNumber) async {
        // The default applies however many requests wait.
        _ = try? await exclusively(isLimited: false) { () async throws(SessionError) in
            guard let call = state.scalars.hooks.call, call.number == number else { return }
            // Detached from the timer, which this very task is: arming the next one cancels it.
            hookTimer = nil
            let time = max(now(), call.deadline)
            switch call.fallback {
            case .proceed: try await commit(state.answer(.nothing, digest: nil, at: time))
            case .abort: try await commit(state.abortHooked(at: time))
            }
        }
    }

    /// Waits until the operation that hooks delay has ended; nil when the session is evicted first.
    func hookedEnd() async -> HookedEnd? {
        await withCheckedContinuation { hookedWaiters.append($0) }
    }

    /// To be called after the commit that ended the operation, before any other change begins.
    func resumeHooked(with outcome: HookedOutcome) {
        guard !hookedWaiters.isEmpty else { return }
        switch outcome {
        case .read(let dict): endHookedWaits(with: .dict(dict, turn.tag))
        case .loaded: endHookedWaits(with: .dict(state.stateDict, turn.tag))
        case .aborted(let event): endHookedWaits(with: .aborted(event))
        }
    }

    func endHookedWaits(with end: HookedEnd?) {
        let waiters = hookedWaiters
        hookedWaiters = []
        for waiter in waiters { waiter.resume(returning: end) }
    }
}

/// What the callers of an operation get that hooks delayed. It is complete when they are resumed:
/// by the time that they run, the session may be in the middle of another change.
enum HookedEnd: Sendable {
    /// The dict that was read, or the session's own after one was loaded.
    case dict(StateDict, EntityTag)
    case aborted(HookEvent)
}

// MARK: - Messages

extension Session {
    /// The messages for hooks that observe a change.
    func deliveries(of change: SessionState.Change) -> [DeliveryRecord] {
        change.effects.fired.flatMap { event in
            state.scalars.hooks.chain(event).compactMap { hook in
                guard case .observe(let url, let secret) = hook.action else { return nil }
                let message = HookMessage(
                    event: event, time: change.entry.time, session: id, hook: hook.id,
                    status: state.status, step: event == .stepPost ? change.effects.step : nil)
                return DeliveryRecord(
                    id: DeliveryRecord.newID(), session: id, hook: hook.id, event: event, url: url,
                    secret: secret, body: hooking.render(message), createdAt: change.entry.time,
                    nextAttemptAt: change.entry.time)
            }
        }
    }
}

extension DeliveryRecord {
    static func newID() -> DeliveryID {
        var generator = SystemRandomNumberGenerator()
        return "msg_" + SessionID.random(using: &generator).rawValue.dropFirst()
    }
}
