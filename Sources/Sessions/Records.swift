public import struct Foundation.Date

// What a store keeps of a session. Plain values: they know neither SQL nor HTTP.

/// One parameter tensor: its name, if it has one, and its shape (row-major; [] is a scalar).
public struct ParameterSpec: Equatable, Sendable, Codable {
    public var name: String?
    public var shape: [Int]

    public init(name: String?, shape: [Int]) {
        self.name = name
        self.shape = shape
    }

    public var count: Int { shape.reduce(1, *) }
}

/// Where a session came from, when it was forked.
public struct Origin: Equatable, Sendable, Codable {
    public var session: String
    public var checkpoint: CheckpointNumber

    public init(session: String, checkpoint: CheckpointNumber) {
        self.session = session
        self.checkpoint = checkpoint
    }
}

/// What is fixed at creation, and the name and labels, which can change.
public struct SessionRecord: Equatable, Sendable {
    public var id: SessionID
    public var name: String?
    public var labels: [String: String]
    public var dtype: DType
    public var parameters: [ParameterSpec]
    public var origin: Origin?
    public var createdAt: Date
    /// Counts changes of name and labels; part of the session's ETag.
    public var metadataVersion: Int
    /// Bytes that the session may come to need in memory.
    public var memoryBytes: Int

    public init(
        id: SessionID, name: String?, labels: [String: String], dtype: DType,
        parameters: [ParameterSpec], origin: Origin?, createdAt: Date, metadataVersion: Int,
        memoryBytes: Int = 0
    ) {
        self.id = id
        self.name = name
        self.labels = labels
        self.dtype = dtype
        self.parameters = parameters
        self.origin = origin
        self.createdAt = createdAt
        self.metadataVersion = metadataVersion
        self.memoryBytes = memoryBytes
    }

    /// n: numbers in all parameters together.
    public var parameterCount: Int { parameters.reduce(0) { $0 + $1.count } }
}

/// What a session waits for.
public enum SessionPhase: String, Equatable, Sendable, Codable, CaseIterable {
    case idle
    case evaluating
    case awaitingHook = "awaiting_hook"
}

/// Where a session stood after a journal entry; enough for a listing without loading it.
public struct SessionStanding: Equatable, Sendable {
    public var phase: SessionPhase
    /// The newest step, 0 before the first.
    public var step: StepNumber
    /// The newest evaluation asked for, 0 before the first.
    public var evaluation: EvaluationNumber
    /// Loss of the newest accepted point.
    public var loss: Double?

    public init(
        phase: SessionPhase, step: StepNumber, evaluation: EvaluationNumber, loss: Double?
    ) {
        self.phase = phase
        self.step = step
        self.evaluation = evaluation
        self.loss = loss
    }
}

/// One line of a session's trace: what an evaluation brought.
public struct TracePoint: Equatable, Sendable {
    public var evaluation: EvaluationNumber
    public var step: StepNumber
    /// Iteration within the step; 0 for the evaluation at the step's start.
    public var iteration: Int
    /// Non-finite as it was told; nil when the client reported that the evaluation failed.
    public var loss: Double?
    /// ||g||_inf; nil when the evaluation failed.
    public var gradientNormInf: Double?
    /// t of the trial point x + t d; 0 at the step's start.
    public var stepLength: Double
    public var time: Date

    public init(
        evaluation: EvaluationNumber, step: StepNumber, iteration: Int, loss: Double?,
        gradientNormInf: Double?, stepLength: Double, time: Date
    ) {
        self.evaluation = evaluation
        self.step = step
        self.iteration = iteration
        self.loss = loss
        self.gradientNormInf = gradientNormInf
        self.stepLength = stepLength
        self.time = time
    }
}

/// What happened to a session, in the order in which it happened.
public struct JournalEntry: Equatable, Sendable {
    /// Raw values are on disk: never renumber.
    public enum Kind: Int, Sendable, CaseIterable {
        case created = 1
        /// Payload: what the step was begun with, empty if that was nothing.
        case stepBegun = 2
        /// Payload: the gradient's bytes in the session's dtype.
        case told = 3
        /// The client could not evaluate the point. Payload: its reason in UTF-8.
        case failed = 4
        case stopped = 5
        /// Payload: the options.
        case optionsChanged = 6
        /// One part of an evaluation. Payload: its number, loss and gradient. The part that
        /// completes the evaluation has what `told` has besides.
        case shardTold = 10
        /// Payload: 1 if they are absent again, 0 if they count as zeros.
        case shardsDropped = 11
        /// Payload: the lease.
        case leased = 12
        // The kinds below come with a snapshot of the state they lead to, and have no payload.
        case parametersReplaced = 7
        case stateDictLoaded = 8
        case restored = 9
        case groupAdded = 13
        case groupChanged = 14
        case hooksChanged = 15
        case hookCalled = 16
        case hookAnswered = 17
    }

    public var sequence: SequenceNumber
    public var kind: Kind
    public var time: Date
    /// Set for `told`, `failed`, and the `shardTold` that completes an evaluation.
    public var trace: TracePoint?
    /// Digest of what was told; set for `told` and `failed`.
    public var resultDigest: Digest?
    /// Digest of the trial point that it answers; set for `told` and `failed`.
    public var pointDigest: Digest?
    /// The highest evaluation number that this entry closed unanswered (a stop or a restore while
    /// one was pending).
    public var closedEvaluation: EvaluationNumber?
    /// Where the session stands after it.
    public var standing: SessionStanding
    /// What replaying it needs besides the fields above.
    public var payload: Octets

    public init(
        sequence: SequenceNumber, kind: Kind, time: Date, trace: TracePoint? = nil,
        resultDigest: Digest? = nil, pointDigest: Digest? = nil,
        closedEvaluation: EvaluationNumber? = nil, standing: SessionStanding,
        payload: Octets = []
    ) {
        self.sequence = sequence
        self.kind = kind
        self.time = time
        self.trace = trace
        self.resultDigest = resultDigest
        self.pointDigest = pointDigest
        self.closedEvaluation = closedEvaluation
        self.standing = standing
        self.payload = payload
    }
}

/// The result of a step that has ended.
public struct StepRecord: Equatable, Sendable {
    public var number: StepNumber
    public var startedAt: Date
    public var endedAt: Date
    /// First and last evaluation of the step; `last` is `first - 1` when it had none.
    public var firstEvaluation: EvaluationNumber
    public var lastEvaluation: EvaluationNumber
    public var result: StepResult

    public init(
        number: StepNumber, startedAt: Date, endedAt: Date, firstEvaluation: EvaluationNumber,
        lastEvaluation: EvaluationNumber, result: StepResult
    ) {
        self.number = number
        self.startedAt = startedAt
        self.endedAt = endedAt
        self.firstEvaluation = firstEvaluation
        self.lastEvaluation = lastEvaluation
        self.result = result
    }
}

/// A checkpoint pins the state right after journal entry `sequence`: the snapshot below it and the
/// entries in between are kept as long as it exists. Making one writes this record only.
public struct CheckpointRecord: Equatable, Sendable {
    public var number: CheckpointNumber
    public var name: String?
    public var sequence: SequenceNumber
    public var createdAt: Date
    public var standing: SessionStanding

    public init(
        number: CheckpointNumber, name: String?, sequence: SequenceNumber, createdAt: Date,
        standing: SessionStanding
    ) {
        self.number = number
        self.name = name
        self.sequence = sequence
        self.createdAt = createdAt
        self.standing = standing
    }
}

/// Remembers what a POST with an Idempotency-Key did.
public struct IdempotencyRecord: Equatable, Sendable {
    /// Which operation on what, e.g. `sessions` or `<session>/steps`.
    public var scope: String
    public var key: String
    /// Digest of the request, to tell a repetition from another request under the same key.
    public var requestDigest: Digest
    /// What it made: a session's, step's or checkpoint's identifier.
    public var outcome: String
    public var createdAt: Date

    public init(
        scope: String, key: String, requestDigest: Digest, outcome: String, createdAt: Date
    ) {
        self.scope = scope
        self.key = key
        self.requestDigest = requestDigest
        self.outcome = outcome
        self.createdAt = createdAt
    }
}

/// A line of a listing.
public struct SessionSummary: Equatable, Sendable {
    public var record: SessionRecord
    public var standing: SessionStanding
    public var updatedAt: Date
    public var sequence: SequenceNumber

    public init(
        record: SessionRecord, standing: SessionStanding, updatedAt: Date,
        sequence: SequenceNumber
    ) {
        self.record = record
        self.standing = standing
        self.updatedAt = updatedAt
        self.sequence = sequence
    }
}
