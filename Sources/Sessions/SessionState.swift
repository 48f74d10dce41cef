internal import struct Foundation.Date

/// A session as a value: everything that its journal implies, and nothing else.
///
/// Each event below is applied in the same way when it happens and when it is replayed, so that a
/// replayed session is the session, bit for bit. An event returns the entry to journal, with the
/// digests by which a replay is checked.
struct SessionState: Sendable {
    /// Parts that go into a snapshot beside the engine.
    struct Scalars: Equatable, Sendable, Codable {
        var sequence: SequenceNumber = 0
        /// The running step, or the newest one this state has seen.
        var step: StepNumber = 0
        /// Highest numbers given so far; numbers are never reused.
        var stepsBegun: StepNumber = 0
        var evaluationsAsked: EvaluationNumber = 0
        /// Of the running step.
        var stepStartedAt = Date(timeIntervalSince1970: 0)
        var stepFirstEvaluation: EvaluationNumber = 1
        /// Of the newest step that ended, if none runs.
        var lastResult: StepResult?
    }

    let dtype: DType
    let parameters: [ParameterSpec]
    private(set) var scalars = Scalars()
    private(set) var engine: any SessionEngine
    /// Pairs that are on disk, by number.
    var storedPairs: [Int: VectorID] = [:]

    /// What an event leads to.
    struct Change {
        var entry: JournalEntry
        /// A step that the event ended.
        var step: StepRecord?
    }

    init(
        dtype: DType, parameters: [ParameterSpec], values: Vector, options: Options
    ) throws(OptionError) {
        self.dtype = dtype
        self.parameters = parameters
        switch values {
        case .float64(let values): engine = try Optimizer(values, options: options)
        case .float32(let values): engine = try Optimizer(values, options: options)
        }
        engine.executor = .shared
    }

    init(
        dtype: DType, parameters: [ParameterSpec], scalars: Scalars, engine: any SessionEngine,
        storedPairs: [Int: VectorID]
    ) {
        self.dtype = dtype
        self.parameters = parameters
        self.scalars = scalars
        self.engine = engine
        self.engine.executor = .shared
        self.storedPairs = storedPairs
    }

    var phase: SessionPhase { engine.isStepping ? .evaluating : .idle }
    var parameterCount: Int { parameters.reduce(0) { $0 + $1.count } }
    var pendingEvaluation: EvaluationNumber? {
        engine.isStepping ? scalars.evaluationsAsked : nil
    }

    var standing: SessionStanding {
        SessionStanding(
            phase: phase, step: scalars.step, evaluation: scalars.evaluationsAsked,
            loss: engine.loss)
    }

    func turn(of session: SessionID, metadataVersion: Int) -> Turn {
        Turn(
            session: session, phase: phase, step: scalars.step, evaluation: pendingEvaluation,
            x: engine.trialVector, result: engine.isStepping ? nil : scalars.lastResult,
            tag: EntityTag(sequence: scalars.sequence, metadataVersion: metadataVersion))
    }

    private mutating func entry(
        _ kind: JournalEntry.Kind, at time: Date, closed: EvaluationNumber? = nil,
        payload: [UInt8] = []
    ) -> JournalEntry {
        scalars.sequence += 1
        return JournalEntry(
            sequence: scalars.sequence, kind: kind, time: time, closedEvaluation: closed,
            standing: standing, payload: payload)
    }
}

// MARK: - Events

/// What a client said of an evaluation, validated and in the session's precision.
enum EvaluationResult: Equatable, Sendable {
    case evaluated(loss: Double, gradient: Vector)
    case failed(reason: String)

    var payload: [UInt8] {
        switch self {
        case .evaluated(_, let gradient): gradient.bytes
        case .failed(let reason): Array(reason.utf8)
        }
    }

    /// Of the loss's bits and the payload.
    func digest(payload: [UInt8]) -> Digest {
        switch self {
        case .evaluated(let loss, _): .of(littleEndianBytes([loss]), payload)
        case .failed: .of(Array("failed".utf8), payload)
        }
    }
}

extension SessionState {
    mutating func created(at time: Date) -> Change {
        Change(entry: entry(.created, at: time))
    }

    /// - Precondition: idle.
    mutating func beginStep(at time: Date) -> Change {
        scalars.stepsBegun += 1
        scalars.step = scalars.stepsBegun
        scalars.stepStartedAt = time
        scalars.stepFirstEvaluation = scalars.evaluationsAsked + 1
        scalars.lastResult = nil
        guard case .evaluate = engine.beginStep() else {
            preconditionFailure("a step begins with an evaluation")
        }
        scalars.evaluationsAsked += 1
        return Change(entry: entry(.stepBegun, at: time))
    }

    /// - Precondition: an evaluation is pending.
    mutating func tell(_ result: EvaluationResult, at time: Date) -> Change {
        guard let trial = engine.pendingTrial else { preconditionFailure("nothing is pending") }
        let number = scalars.evaluationsAsked
        var trace = TracePoint(
            evaluation: number, step: scalars.step, iteration: trial.iteration, loss: nil,
            gradientNormInf: nil, stepLength: trial.stepLength, time: time)
        let pointDigest = Digest.of(engine.trialVector.bytes)
        let payload = result.payload
        let directive: Directive
        var kind = JournalEntry.Kind.told
        switch result {
        case .evaluated(let loss, let gradient):
            trace.loss = loss
            trace.gradientNormInf = gradient.normInf
            directive = engine.advance(loss: loss, vector: gradient)
        case .failed:
            kind = .failed
            directive = engine.advanceInfeasible(loss: .nan)
        }
        let step = follow(directive, lastEvaluation: number, at: time)
        var entry = entry(kind, at: time, payload: payload)
        entry.trace = trace
        entry.resultDigest = result.digest(payload: payload)
        entry.pointDigest = pointDigest
        return Change(entry: entry, step: step)
    }

    /// - Precondition: a step runs.
    mutating func stop(at time: Date) -> Change {
        let closed = pendingEvaluation
        let result = engine.stop()
        let step = follow(
            .finished(result), lastEvaluation: scalars.evaluationsAsked - 1, at: time)
        return Change(entry: entry(.stopped, at: time, closed: closed), step: step)
    }

    /// Takes effect with the next step.
    mutating func change(_ options: Options, at time: Date) -> Change {
        engine.options = options
        let payload = StateCodec.encode(options)
        return Change(entry: entry(.optionsChanged, at: time, payload: payload))
    }

    /// - Precondition: idle.
    mutating func replaceParameters(with values: Vector, at time: Date) -> Change {
        engine.replaceParameters(with: values)
        return Change(entry: entry(.parametersReplaced, at: time))
    }

    /// - Precondition: idle.
    mutating func load(
        _ state: TorchState<Double>?, options: Options, at time: Date
    ) throws(TorchStateError) -> Change {
        try engine.loadFromDoubles(state)
        engine.options = options
        return Change(entry: entry(.stateDictLoaded, at: time))
    }

    /// Goes back to a former state of the same session, with numbers going on from here. A step
    /// that runs now ends as if it had been stopped, so that its number keeps a result.
    mutating func restore(_ former: SessionState, at time: Date) -> Change {
        let closed = pendingEvaluation
        var step: StepRecord?
        if closed != nil {
            let result = engine.stop()
            step = follow(
                .finished(result), lastEvaluation: scalars.evaluationsAsked - 1, at: time)
        }
        var next = former
        next.scalars.sequence = scalars.sequence
        next.scalars.stepsBegun = scalars.stepsBegun
        next.scalars.evaluationsAsked = scalars.evaluationsAsked
        next.renumberRunningStep()
        self = next
        return Change(entry: entry(.restored, at: time, closed: closed), step: step)
    }

    /// The same optimizer as the beginning of another session, numbered from 1.
    func forked(at time: Date) -> (state: SessionState, change: Change) {
        var fork = self
        fork.scalars = Scalars()
        fork.scalars.stepStartedAt = time
        fork.renumberRunningStep()
        let change = fork.created(at: time)
        return (fork, change)
    }

    /// A step that was running goes on under the next numbers.
    private mutating func renumberRunningStep() {
        guard engine.isStepping else { return }
        scalars.stepsBegun += 1
        scalars.step = scalars.stepsBegun
        scalars.evaluationsAsked += 1
        scalars.stepFirstEvaluation = scalars.evaluationsAsked
    }

    private mutating func follow(
        _ directive: Directive, lastEvaluation: EvaluationNumber, at time: Date
    ) -> StepRecord? {
        switch directive {
        case .evaluate:
            scalars.evaluationsAsked += 1
            return nil
        case .finished(let result):
            scalars.lastResult = result
            return StepRecord(
                number: scalars.step, startedAt: scalars.stepStartedAt, endedAt: time,
                firstEvaluation: scalars.stepFirstEvaluation, lastEvaluation: lastEvaluation,
                result: result)
        }
    }
}

// MARK: - Replay

/// A journal that doesn't lead where it led before.
struct ReplayError: Error, Equatable {
    var sequence: SequenceNumber
    var reason: String
}

extension SessionState {
    /// Applies a stored entry, and checks that it leads where it led when it was written.
    mutating func replay(_ stored: JournalEntry) throws(ReplayError) {
        func fail(_ reason: String) -> ReplayError {
            ReplayError(sequence: stored.sequence, reason: reason)
        }
        guard stored.sequence == scalars.sequence + 1 else {
            throw fail("follows entry \(scalars.sequence)")
        }
        let change: Change
        switch stored.kind {
        case .stepBegun:
            guard !engine.isStepping else { throw fail("begins a step while one runs") }
            change = beginStep(at: stored.time)
        case .told, .failed:
            guard engine.isStepping else { throw fail("answers, but nothing was asked") }
            change = tell(try result(of: stored), at: stored.time)
        case .stopped:
            guard engine.isStepping else { throw fail("stops, but no step runs") }
            change = stop(at: stored.time)
        case .optionsChanged:
            guard let options = StateCodec.decodeOptions(stored.payload) else {
                throw fail("has options that can't be read")
            }
            change = self.change(options, at: stored.time)
        case .created, .parametersReplaced, .stateDictLoaded, .restored:
            throw fail("a \(stored.kind) entry comes with a snapshot")
        }
        guard change.entry.pointDigest == stored.pointDigest else {
            throw fail("the trial point isn't the one that was asked for")
        }
        guard change.entry.standing == stored.standing else {
            throw fail("led to \(change.entry.standing), not to \(stored.standing)")
        }
    }

    private func result(of stored: JournalEntry) throws(ReplayError) -> EvaluationResult {
        guard stored.kind == .told else {
            return .failed(reason: String(decoding: stored.payload, as: UTF8.self))
        }
        guard let loss = stored.trace?.loss,
            let gradient = Vector(bytes: stored.payload, as: dtype),
            gradient.count == parameterCount
        else { throw ReplayError(sequence: stored.sequence, reason: "has no whole gradient") }
        return .evaluated(loss: loss, gradient: gradient)
    }
}
