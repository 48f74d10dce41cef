internal import struct Foundation.Date
internal import LBFGS

/// A session as a value: everything that its journal implies, and nothing else.
///
/// Each event below is applied in the same way when it happens and when it is replayed, so that a
/// replayed session equals the original bit for bit. An event returns the entry to journal, with
/// the digests that replay compares.
struct SessionState: Sendable {
    /// What a snapshot has beside the engine and the vectors.
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
        var layout: Layout
        /// The engine minimises; with this it is told the negative of what the client tells.
        var isMaximizing = false
        /// Shards of each evaluation, unless a step says otherwise; nil: none.
        var shardCount: Int?
        /// Of the pending evaluation. Shards that were told stand in `shards`.
        var stepShardCount: Int?
        var leases = LeaseTable()
        var best: BestEvaluation?
        /// Of the newest evaluation that told a gradient; absent before it was kept.
        var gradientNormInf: Double?
        var hooks = HookTable()
        /// How many numbers of the start were outside their bounds; nil if none was.
        var projected: Int?

        init(layout: Layout) { self.layout = layout }
    }

    let dtype: DType
    var scalars: Scalars
    var engine: any SessionEngine
    /// The shards of the pending evaluation that were told.
    var shards = ShardTable()
    /// The state dict that a pending hook call is about.
    var hookedDict: StateDict?
    /// Pairs that are on disk, by number.
    var storedPairs: [Int: VectorID] = [:]
    /// Vectors of bounds that are on disk, by name. They stay the same until the bounds change.
    var storedBounds: [VectorName: VectorID] = [:]

    /// What an event did: the entry to journal, and its effects.
    struct Change {
        var entry: JournalEntry
        var effects = Effects()
    }

    /// What an event did besides changing the state.
    struct Effects {
        /// A step that the event ended.
        var step: StepRecord?
        /// What happened that hooks may observe.
        var fired: [HookEvent] = []
        /// How an operation ended that was waiting for hooks.
        var outcome: HookedOutcome?
    }

    init(
        dtype: DType, layout: Layout, values: Vector, bounds: SessionBounds, options: Options,
        isMaximizing: Bool = false, shardCount: Int? = nil, background: BackgroundWork
    ) throws(SessionError) {
        self.dtype = dtype
        scalars = Scalars(layout: layout)
        scalars.isMaximizing = isMaximizing
        scalars.shardCount = shardCount
        do throws(OptionError) {
            switch values {
            case .float64(let values): engine = try Optimizer(values, options: options)
            case .float32(let values): engine = try Optimizer(values, options: options)
            }
        } catch {
            throw .invalid([FieldError(field: "options.\(error.option)", reason: error.reason)])
        }
        if !bounds.isEmpty {
            do throws(BoundsError) {
                let projected = try engine.set(bounds)
                if projected > 0 { scalars.projected = projected }
            } catch {
                throw .invalid([FieldError(field: "\(error.field)", reason: error.reason)])
            }
        }
        engine.executor = background.stepExecutor(
            count: layout.count, historySize: options.historySize)
    }

    init(
        dtype: DType, scalars: Scalars, engine: any SessionEngine, shards: ShardTable,
        hookedDict: StateDict?, storedPairs: [Int: VectorID],
        storedBounds: [VectorName: VectorID], background: BackgroundWork
    ) {
        self.dtype = dtype
        self.scalars = scalars
        self.engine = engine
        self.shards = shards
        self.hookedDict = hookedDict
        self.engine.executor = background.stepExecutor(
            count: scalars.layout.count, historySize: engine.options.historySize)
        self.storedPairs = storedPairs
        self.storedBounds = storedBounds
    }

    var layout: Layout { scalars.layout }
    var phase: SessionPhase {
        if scalars.hooks.isCalling { return .awaitingHook }
        return engine.isStepping ? .evaluating : .idle
    }
    /// Whether a step runs, or waits for a hook to begin or to end.
    var isInStep: Bool {
        if engine.isStepping { return true }
        return switch scalars.hooks.call?.operation {
        case .beginStep, .endStep: true
        case .readStateDict, .loadStateDict, nil: false
        }
    }
    var pendingEvaluation: EvaluationNumber? {
        engine.isStepping ? scalars.evaluationsAsked : nil
    }
    /// Loss of the newest accepted point, with the client's sign.
    var loss: Double? { scalars.isMaximizing ? engine.loss.map { -$0 } : engine.loss }

    var status: SessionStatus {
        SessionStatus(
            phase: phase, step: scalars.step, evaluation: scalars.evaluationsAsked,
            loss: loss)
    }

    func turn(of session: SessionID, metadataVersion: Int) -> Turn {
        Turn(
            session: session, phase: phase, step: scalars.step, evaluation: pendingEvaluation,
            x: engine.trialVector, specs: layout.parameters,
            result: engine.isStepping ? nil : scalars.lastResult,
            shards: engine.isStepping ? shards.progress : nil, hookCall: hookCall,
            iterations: engine.pendingTrial.map { max(0, $0.iteration - 1) },
            loss: engine.isStepping ? loss : nil,
            tag: EntityTag(sequence: scalars.sequence, metadataVersion: metadataVersion))
    }

    mutating func entry(
        _ kind: JournalEntry.Kind, at time: Date, closed: EvaluationNumber? = nil,
        payload: Octets = []
    ) -> JournalEntry {
        scalars.sequence += 1
        return JournalEntry(
            sequence: scalars.sequence, kind: kind, time: time, closedEvaluation: closed,
            status: status, progress: progress, payload: payload)
    }
}

// MARK: - Events

/// The result of an evaluation, validated and in the session's precision.
enum EvaluationResult: Equatable, Sendable {
    case evaluated(loss: Double, gradient: Vector)
    case failed(reason: String)

    var payload: Octets {
        switch self {
        case .evaluated(_, let gradient): .vector(gradient)
        case .failed(let reason): Octets(Array(reason.utf8))
        }
    }

    /// Of the loss's bits and the payload.
    var digest: Digest {
        switch self {
        case .evaluated(let loss, let gradient): .of(littleEndianBytes([loss]), gradient)
        case .failed(let reason): .of(Array("failed".utf8), Array(reason.utf8))
        }
    }
}

extension SessionState {
    mutating func created(at time: Date) -> Change {
        Change(entry: entry(.created, at: time))
    }

    /// - Precondition: idle, and valid options.
    mutating func beginStep(_ request: StepRequest, at time: Date) -> Change {
        scalars.stepsBegun += 1
        scalars.step = scalars.stepsBegun
        scalars.stepStartedAt = time
        scalars.stepFirstEvaluation = scalars.evaluationsAsked + 1
        scalars.lastResult = nil
        let shards = request.shards ?? scalars.shardCount
        let options = engine.options
        if scalars.hooks.call(
            scalars.hooks.intercepts(.stepPre),
            for: .beginStep(options: options, shards: shards), at: time)
        {
            return Change(entry: entry(.hookCalled, at: time))
        }
        let effects = startStep(options, shards: shards, at: time)
        let payload = Octets(StateCodec.encode(request))
        return Change(entry: entry(.stepBegun, at: time, payload: payload), effects: effects)
    }

    /// A step ends at once when the engine already knows the point, and that it is optimal.
    mutating func startStep(_ options: Options, shards count: Int?, at time: Date) -> Effects {
        scalars.stepShardCount = count
        var effects = follow(
            engine.beginStep(options: options), lastEvaluation: scalars.evaluationsAsked, at: time)
        effects.fired.insert(.stepPre, at: 0)
        return effects
    }

    /// Another evaluation is wanted.
    private mutating func askNext() {
        scalars.evaluationsAsked += 1
        clearShards()
    }

    private mutating func clearShards() {
        shards = ShardTable(count: scalars.stepShardCount)
        scalars.leases.removeAll()
    }

    /// - Precondition: an evaluation is pending.
    /// - Parameters:
    ///   - digest: The result's digest, if it is known already: a long gradient's takes time.
    ///   - pointDigest: The trial point's digest, likewise.
    mutating func tell(
        _ result: EvaluationResult, digest: Digest? = nil, pointDigest: Digest? = nil,
        at time: Date
    ) -> Change {
        let kind: JournalEntry.Kind = if case .failed = result { .failed } else { .told }
        return conclude(
            result, as: kind, payload: result.payload, digest: digest, pointDigest: pointDigest,
            at: time)
    }

    /// Gives the pending evaluation its result.
    mutating func conclude(
        _ result: EvaluationResult, as kind: JournalEntry.Kind, payload: Octets,
        digest: Digest? = nil, pointDigest: Digest? = nil, at time: Date
    ) -> Change {
        guard let trial = engine.pendingTrial else { preconditionFailure("nothing is pending") }
        let number = scalars.evaluationsAsked
        var trace = TracePoint(
            evaluation: number, step: scalars.step, iteration: trial.iteration, loss: nil,
            gradientNormInf: nil, stepLength: trial.stepLength, time: time)
        let pointDigest = pointDigest ?? Digest.of([], engine.trialVector)
        let directive: Directive
        switch result {
        case .evaluated(let loss, let gradient):
            let gradient = engine.masked(gradient)
            trace.loss = loss
            trace.gradientNormInf = gradient.normInf
            scalars.gradientNormInf = trace.gradientNormInf
            // The best is of the loss with its L1 term, which is subtracted where it is maximized.
            let term = engine.l1Term
            note(scalars.isMaximizing ? loss - term : loss + term, of: number)
            directive =
                scalars.isMaximizing
                ? engine.advance(loss: -loss, vector: gradient.negated)
                : engine.advance(loss: loss, vector: gradient)
        case .failed:
            directive = engine.advanceInfeasible(loss: .nan)
        }
        trace.search = searchTrace
        let effects = follow(directive, lastEvaluation: number, at: time)
        var change = Change(entry: entry(kind, at: time, payload: payload), effects: effects)
        change.entry.trace = trace
        change.entry.resultDigest = digest ?? result.digest
        change.entry.pointDigest = pointDigest
        return change
    }

    /// - Precondition: a step runs.
    mutating func stop(at time: Date) -> Change {
        let closed = pendingEvaluation
        let result = engine.stop()
        let effects = follow(
            .finished(result), lastEvaluation: scalars.evaluationsAsked - 1, at: time)
        return Change(entry: entry(.stopped, at: time, closed: closed), effects: effects)
    }

    /// Takes effect with the next step.
    mutating func change(_ options: Options, at time: Date) -> Change {
        engine.options = options
        let payload = Octets(StateCodec.encode(options))
        return Change(entry: entry(.optionsChanged, at: time, payload: payload))
    }

    /// - Precondition: idle.
    mutating func replaceParameters(with values: Vector, at time: Date) -> Change {
        engine.replaceParameters(with: values)
        return Change(entry: entry(.parametersReplaced, at: time))
    }

    /// Returns to a former state of the same session. Numbers continue from the present ones, and
    /// the hooks that are registered now stay. A running step ends as if it had been stopped, so
    /// that its number has a result.
    /// - Precondition: neither state waits for a hook.
    mutating func restore(_ former: SessionState, at time: Date) -> Change {
        let closed = pendingEvaluation
        var step: StepRecord?
        if closed != nil {
            step = endStep(
                engine.stop(), lastEvaluation: scalars.evaluationsAsked - 1, at: time)
        }
        var next = former
        next.scalars.sequence = scalars.sequence
        next.scalars.stepsBegun = scalars.stepsBegun
        next.scalars.evaluationsAsked = scalars.evaluationsAsked
        next.scalars.hooks = scalars.hooks
        next.renumberRunningStep()
        self = next
        let entry = entry(.restored, at: time, closed: closed)
        return Change(
            entry: entry, effects: Effects(step: step, fired: step == nil ? [] : [.stepPost]))
    }

    /// The same optimizer in a new session, numbered from 1.
    func forked(at time: Date) -> (state: SessionState, change: Change) {
        var fork = self
        fork.scalars = Scalars(layout: layout)
        fork.scalars.isMaximizing = scalars.isMaximizing
        fork.scalars.shardCount = scalars.shardCount
        fork.scalars.stepShardCount = scalars.stepShardCount
        fork.scalars.stepStartedAt = time
        // A new session is forked from one that has not begun yet.
        fork.scalars.projected = scalars.sequence == 0 ? scalars.projected : nil
        fork.renumberRunningStep()
        let change = fork.created(at: time)
        return (fork, change)
    }

    /// Continues a running step under the next numbers.
    private mutating func renumberRunningStep() {
        guard engine.isStepping else { return }
        scalars.stepsBegun += 1
        scalars.step = scalars.stepsBegun
        scalars.evaluationsAsked += 1
        scalars.stepFirstEvaluation = scalars.evaluationsAsked
        scalars.leases.removeAll()
    }

    private mutating func note(_ loss: Double, of number: EvaluationNumber) {
        guard loss.isFinite else { return }
        if let best = scalars.best {
            let isBetter = scalars.isMaximizing ? loss > best.loss : loss < best.loss
            guard isBetter else { return }
        }
        scalars.best = BestEvaluation(loss: loss, evaluation: number)
    }

    /// Does what the engine wants next.
    private mutating func follow(
        _ directive: Directive, lastEvaluation: EvaluationNumber, at time: Date
    ) -> Effects {
        switch directive {
        case .evaluate:
            askNext()
            return Effects()
        case .finished(let result):
            let step = endStep(result, lastEvaluation: lastEvaluation, at: time)
            _ = scalars.hooks.call(
                scalars.hooks.intercepts(.stepPost), for: .endStep, at: time)
            return Effects(step: step, fired: [.stepPost])
        }
    }

    /// The running step has ended.
    private mutating func endStep(
        _ result: StepResult, lastEvaluation: EvaluationNumber, at time: Date
    ) -> StepRecord {
        var result = result
        if scalars.isMaximizing {
            result.lossBefore = result.lossBefore.map { -$0 }
            result.loss = result.loss.map { -$0 }
            result.failure?.lossChange?.negate()
            result.failure?.slope.negate()
        }
        scalars.lastResult = result
        scalars.stepShardCount = nil
        clearShards()
        return StepRecord(
            number: scalars.step, startedAt: scalars.stepStartedAt, endedAt: time,
            firstEvaluation: scalars.stepFirstEvaluation, lastEvaluation: lastEvaluation,
            result: result)
    }
}
