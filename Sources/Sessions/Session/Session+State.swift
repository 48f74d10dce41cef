internal import LBFGS

extension Session {
    private var currentView: SessionView {
        let options = state.shown(state.engine.options)
        return SessionView(
            record: record, options: options, isMaximizing: state.scalars.isMaximizing,
            shardCount: state.scalars.shardCount, groups: state.groupViews,
            best: state.scalars.best, status: state.status, updatedAt: updatedAt, tag: turn.tag,
            memoryBytesEstimate: state.memoryBytesEstimate)
    }

    func view() async throws(CallError) -> SessionView {
        try await exclusively { () async throws(SessionError) in currentView }
    }

    func update(
        _ request: UpdateRequest, precondition: Precondition
    ) async throws(CallError) -> SessionView {
        try await exclusively { () async throws(SessionError) in
            try check(precondition)
            var batch = Batch()
            if request.name != nil || request.labels != nil {
                let name = request.name ?? record.name
                try limits.checkMetadata(name: name, labels: request.labels ?? [:])
                batch.metadata = SessionMetadata(
                    name: name, labels: request.labels ?? record.labels,
                    version: record.metadataVersion + 1)
            }
            if let patch = request.options {
                try patch.checkMaximizeUnchanged(state.scalars.isMaximizing)
                let options = try patch.applied(to: state.engine.options, isCreation: false)
                try limits.checkHistoryFitsMemory(
                    count: state.layout.count, dtype: state.dtype, options: options)
                if options != state.engine.options {
                    try checkNoHookCalled()
                    batch.entries = [state.change(options, at: now()).entry]
                    if state.memoryBytesEstimate != record.memoryBytes {
                        batch.metadata =
                            batch.metadata
                            ?? SessionMetadata(
                                name: record.name, labels: record.labels,
                                version: record.metadataVersion)
                        batch.metadata?.memoryBytes = state.memoryBytesEstimate
                    }
                }
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
            retire()
        }
    }

    public func parameters() async throws(CallError) -> ParametersView {
        try await exclusively { () async throws(SessionError) in currentParameters }
    }

    private var currentParameters: ParametersView {
        ParametersView(
            specs: state.layout.parameters, values: state.engine.parameterVector, tag: turn.tag)
    }

    /// Between steps only. The history stays, as when a parameter's data is written in torch.
    public func setParameters(
        _ input: VectorInput, precondition: Precondition = .none
    ) async throws(CallError) -> ParametersView {
        try await exclusively { () async throws(SessionError) in
            try check(precondition)
            try checkIdle()
            let values = try state.values(input)
            try await commit(state.replaceParameters(with: values, at: now()))
            return currentParameters
        }
    }

    /// torch's `state_dict()`. With hooks that intercept it waits for their answers.
    public func stateDict() async throws(CallError) -> (StateDict, EntityTag) {
        let ready = try await exclusively { () async throws(SessionError) -> StateDict? in
            try await adoptServerHooks()
            let hooks = state.scalars.hooks
            if hooks.chain(.stateDictPre).isEmpty && hooks.chain(.stateDictPost).isEmpty {
                return state.stateDict
            }
            // One that is under way is waited for too.
            if case .readStateDict = hooks.call?.operation { return nil }
            try checkNoHookCalled()
            let change = state.readStateDict(at: now())
            try await commit(change)
            if case .read(let dict) = change.effects.outcome { return dict }
            return nil
        }
        if let ready { return (ready, turn.tag) }
        switch await hookedOutcome() {
        case .read(let dict): return (dict, turn.tag)
        case .aborted(let event): throw .failed(.aborted(event))
        case .loaded, nil: throw .retired
        }
    }

    /// torch's `load_state_dict()`. Between steps only. O(m^2 n).
    public func loadStateDict(
        _ dict: StateDict, matching: StateDictMatching = .position,
        precondition: Precondition = .none
    ) async throws(CallError) -> (StateDict, EntityTag) {
        let isDone = try await exclusively { () async throws(SessionError) -> Bool in
            try check(precondition)
            try checkIdle()
            let dict = try checked(dict, matching: matching)
            try await adoptServerHooks()
            let change = state.beginLoad(dict, at: now())
            try await commit(change)
            return state.scalars.hooks.call == nil
        }
        if !isDone {
            switch await hookedOutcome() {
            case .loaded, .read: break
            case .aborted(let event): throw .failed(.aborted(event))
            // Whether it was loaded is for the next reader to see.
            case nil: throw .failed(.shuttingDown)
            }
        }
        return (state.stateDict, turn.tag)
    }

    /// The dict in this session's order and with all options, or all that keeps it from being
    /// loaded.
    func checked(
        _ dict: StateDict, matching: StateDictMatching
    ) throws(SessionError) -> StateDict {
        var dict = try dict.checked(against: state, matching: matching)
        let options = try dict.options.applied(to: state.engine.options, isCreation: false)
        try limits.checkHistoryFitsMemory(
            count: state.layout.count, dtype: state.dtype, options: options)
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
