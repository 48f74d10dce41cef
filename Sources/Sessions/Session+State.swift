extension Session {
    private var currentView: SessionView {
        var options = state.engine.options
        options.historyDType = options.historyDType ?? state.dtype.historyDType
        return SessionView(
            record: record, options: options, standing: state.standing,
            updatedAt: updatedAt, tag: turn.tag,
            memoryBytesEstimate: memoryEstimate(
                count: state.parameterCount, dtype: state.dtype,
                historySize: options.historySize, historyDType: options.historyDType))
    }

    func view() async throws(Refusal) -> SessionView {
        try await exclusively { () async throws(SessionError) in currentView }
    }

    func update(
        _ request: UpdateRequest, _ precondition: Precondition
    ) async throws(Refusal) -> SessionView {
        try await exclusively { () async throws(SessionError) in
            try check(precondition)
            var batch = Batch()
            if request.name != nil || request.labels != nil {
                let name = request.name ?? record.name
                try Sessions.check(name: name, labels: request.labels, limits)
                batch.metadata = SessionMetadata(
                    name: name, labels: request.labels ?? record.labels,
                    version: record.metadataVersion + 1)
            }
            if let patch = request.options {
                let options = try patch.applied(to: state.engine.options, isCreation: false)
                try checkMemory(
                    count: state.parameterCount, dtype: state.dtype, options: options, limits)
                if options != state.engine.options {
                    batch.entries = [state.change(options, at: now()).entry]
                }
            }
            if batch.metadata != nil || !batch.entries.isEmpty { try await commit(batch) }
            return currentView
        }
    }

    func delete(_ precondition: Precondition) async throws(Refusal) {
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

    func parameters() async throws(Refusal) -> ParametersView {
        try await exclusively { () async throws(SessionError) in currentParameters }
    }

    private var currentParameters: ParametersView {
        ParametersView(
            specs: state.parameters, values: state.engine.parameterVector, tag: turn.tag)
    }

    func setParameters(
        _ input: ParametersInput, _ precondition: Precondition
    ) async throws(Refusal) -> ParametersView {
        try await exclusively { () async throws(SessionError) in
            try check(precondition)
            try checkIdle()
            let values = try state.values(input)
            try await commit(state.replaceParameters(with: values, at: now()))
            return currentParameters
        }
    }

    func stateDict() async throws(Refusal) -> (StateDict, EntityTag) {
        try await exclusively { () async throws(SessionError) in (state.stateDict, turn.tag) }
    }

    func loadStateDict(
        _ dict: StateDict, _ precondition: Precondition
    ) async throws(Refusal) -> (StateDict, EntityTag) {
        try await exclusively { () async throws(SessionError) in
            try check(precondition)
            try checkIdle()
            try dict.check(against: state)
            let options = try dict.options.applied(to: state.engine.options, isCreation: false)
            try checkMemory(
                count: state.parameterCount, dtype: state.dtype, options: options, limits)
            let change: SessionState.Change
            do throws(TorchStateError) {
                change = try state.load(dict.state, options: options, at: now())
            } catch {
                throw .invalid([FieldError(field: "state.0.\(error.key)", reason: error.reason)])
            }
            try await commit(change)
            return (state.stateDict, turn.tag)
        }
    }
}

extension SessionState {
    var stateDict: StateDict {
        let options = engine.options
        var patch = OptionsPatch()
        patch.lr = options.lr
        patch.maxIterations = options.maxIterations
        patch.maxEvaluations = options.maxEvaluations
        patch.toleranceGradient = options.toleranceGradient
        patch.toleranceChange = options.toleranceChange
        patch.historySize = options.historySize
        patch.lineSearch = .some(options.lineSearch)
        let names = parameters.compactMap(\.name)
        return StateDict(
            state: engine.stateInDoubles, options: patch, params: Array(parameters.indices),
            paramNames: names.isEmpty ? nil : names)
    }
}
