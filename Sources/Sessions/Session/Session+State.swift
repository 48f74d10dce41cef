internal import LBFGS

extension Session {
    private var currentView: SessionView {
        let options = state.shown(state.engine.options)
        return SessionView(
            record: record, options: options, isMaximizing: state.scalars.isMaximizing,
            shardCount: state.scalars.shardCount, groups: state.groupViews,
            best: state.scalars.best, status: state.status, updatedAt: updatedAt, tag: turn.tag,
            memoryBytesEstimate: state.memoryBytesEstimate,
            gradientNormInf: state.scalars.gradientNormInf, ensemble: ensemble,
            isBounded: state.engine.sessionBounds.hasBounds,
            hasL1: state.engine.sessionBounds.hasL1, projected: state.scalars.projected ?? 0)
    }

    func view() async throws(CallError) -> SessionView {
        try await exclusively { () async throws(SessionError) in currentView }
    }

    func update(
        _ request: UpdateRequest, precondition: Precondition
    ) async throws(CallError) -> SessionView {
        try await exclusively(changing: true) { () async throws(SessionError) in
            try check(precondition)
            let name = request.name ?? record.name
            if request.name != nil || request.labels != nil {
                try limits.checkMetadata(name: name, labels: request.labels ?? [:])
            }
            let expiresAfter = try request.expiresAfter.map { asked throws(SessionError) in
                try limits.expiresAfter(.some(asked))
            }
            var options = state.engine.options
            if let patch = request.options {
                try patch.checkMaximizeUnchanged(state.scalars.isMaximizing)
                options = try patch.applied(to: options, isCreation: false)
                try limits.checkHistoryFitsMemory(
                    count: state.layout.count, dtype: state.dtype, options: options,
                    bounds: state.engine.sessionBounds.footprint)
                try state.check(options)
            }
            let changesOptions = options != state.engine.options
            if changesOptions { try checkNoHookCalled() }

            // Nothing is refused from here on: the state changes.
            var batch = Batch()
            // An expiry alone is an entry too: the time begins anew.
            if changesOptions || (expiresAfter != nil && !state.scalars.hooks.isCalling) {
                batch.entries = [state.change(options, at: now()).entry]
            }
            let isSeen = request.name != nil || request.labels != nil || expiresAfter != nil
            let isResized = changesOptions && state.memoryBytesEstimate != record.memoryBytes
            if isSeen || isResized {
                var metadata = SessionMetadata(
                    name: name, labels: request.labels ?? record.labels,
                    version: record.metadataVersion + (isSeen ? 1 : 0))
                if let expiresAfter { metadata.expiresAfter = .some(expiresAfter) }
                if isResized { metadata.memoryBytes = state.memoryBytesEstimate }
                batch.metadata = metadata
            }
            if batch.metadata != nil || !batch.entries.isEmpty { try await commit(batch) }
            return currentView
        }
    }

    func delete(precondition: Precondition) async throws(CallError) {
        try await exclusively { () async throws(SessionError) in
            try check(precondition)
            do throws(StoreError) {
                try await store.delete(id)
            } catch {
                throw SessionError(error, session: id)
            }
            tenants.deleted(id, of: tenant)
            catalog.noteDeletion(of: id, of: tenant)
            feed.publish([.deleted(id)], of: record)
            watchers.notify(id) { .deleted }
            retire()
        }
    }

    public func parameters() async throws(CallError) -> ParametersView {
        try await exclusively { () async throws(SessionError) in currentParameters() }
    }

    private func currentParameters(projected: Int? = nil) -> ParametersView {
        ParametersView(
            specs: state.layout.parameters, values: state.engine.parameterVector,
            projected: projected, tag: turn.tag)
    }

    /// Between steps only. The history stays, as when a parameter's data is written in torch.
    /// Numbers outside their bounds are projected onto them.
    public func setParameters(
        _ input: VectorInput, precondition: Precondition = .none
    ) async throws(CallError) -> ParametersView {
        try await exclusively(changing: true) { () async throws(SessionError) in
            try check(precondition)
            try checkIdle()
            let values = try state.values(input)
            let projected = state.engine.sessionBounds.outsideCount(of: values)
            try await commit(state.replaceParameters(with: values, at: now()))
            return currentParameters(projected: projected)
        }
    }

    /// torch's `state_dict()`. With hooks that intercept it waits for their answers.
    public func stateDict() async throws(CallError) -> (StateDict, EntityTag) {
        let ready = try await exclusively {
            () async throws(SessionError) -> (StateDict, EntityTag)? in
            try await adoptServerHooks()
            let hooks = state.scalars.hooks
            if hooks.chain(.stateDictPre).isEmpty && hooks.chain(.stateDictPost).isEmpty {
                return (state.stateDict, turn.tag)
            }
            // One that is under way is waited for too.
            if case .readStateDict = hooks.call?.operation { return nil }
            try checkNoHookCalled()
            try await checkOutbox()
            let change = state.readStateDict(at: now())
            try await commit(change)
            if case .read(let dict) = change.effects.outcome { return (dict, turn.tag) }
            return nil
        }
        if let ready { return ready }
        switch await hookedEnd() {
        case .dict(let dict, let tag): return (dict, tag)
        case .aborted(let event): throw .failed(.aborted(event))
        case nil: throw .retired
        }
    }

    /// torch's `load_state_dict()`. Between steps only. O(m^2 n).
    public func loadStateDict(
        _ dict: StateDict, matching: StateDictMatching = .position,
        precondition: Precondition = .none
    ) async throws(CallError) -> (StateDict, EntityTag) {
        let loaded = try await exclusively(changing: true) {
            () async throws(SessionError) -> (StateDict, EntityTag)? in
            try check(precondition)
            try checkIdle()
            let dict = try checked(dict, matching: matching)
            try await adoptServerHooks()
            try await checkOutbox()
            let change = state.beginLoad(dict, at: now())
            try await commit(change)
            return state.scalars.hooks.isCalling ? nil : (state.stateDict, turn.tag)
        }
        if let loaded { return loaded }
        switch await hookedEnd() {
        case .dict(let dict, let tag): return (dict, tag)
        case .aborted(let event): throw .failed(.aborted(event))
        // Whether it was loaded is for the next reader to see.
        case nil: throw .failed(.shuttingDown)
        }
    }

    /// The dict in this session's order and with all options, or all that keeps it from being
    /// loaded.
    func checked(
        _ dict: StateDict, matching: StateDictMatching
    ) throws(SessionError) -> StateDict {
        try limits.check(dict)
        var dict = try dict.checked(against: state, matching: matching)
        let options = try dict.options.applied(to: state.engine.options, isCreation: false)
        try limits.checkHistoryFitsMemory(
            count: state.layout.count, dtype: state.dtype, options: options,
            bounds: state.engine.sessionBounds.footprint)
        try state.check(options)
        dict.options = OptionsPatch(torch: options)
        do throws(TorchStateError) {
            try state.engine.checkDoubles(dict.state)
        } catch {
            throw .invalid([FieldError(field: "state.0.\(error.key)", reason: error.reason)])
        }
        return dict
    }
}

extension OptionsPatch {
    /// The options that torch's `param_groups` have, all given.
    init(torch options: Options) {
        self.init()
        lr = options.lr
        maxIterations = options.maxIterations
        maxEvaluations = options.maxEvaluations
        toleranceGradient = options.toleranceGradient
        toleranceChange = options.toleranceChange
        historySize = options.historySize
        lineSearch = .some(options.lineSearch)
    }
}

extension StateDict {
    /// The options that it leads to.
    func fullOptions(over options: Options) -> Options {
        (try? self.options.applied(to: options, isCreation: false)) ?? options
    }
}

extension SessionState {
    /// The options with what they leave to the session's precision.
    func shown(_ options: Options) -> Options {
        var options = options
        options.historyDType = options.historyDType ?? dtype.historyDType
        return options
    }

    var stateDict: StateDict {
        StateDict(
            dtype: dtype, state: engine.stateInDoubles,
            options: OptionsPatch(torch: engine.options),
            groups: groupViews.map { view in
                StateDict.Group(
                    params: Array(view.group.parameters), paramNames: view.names,
                    name: view.group.name, isFrozen: view.group.isFrozen)
            })
    }
}
