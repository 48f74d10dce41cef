public import struct Foundation.Date

// What sessions show to callers: values that were on disk when they were taken.

/// Changes with every change of the session.
public struct EntityTag: Equatable, Sendable {
    public var sequence: SequenceNumber
    public var metadataVersion: Int

    /// Strong, with its quotes.
    public var text: String { "\"\(sequence).\(metadataVersion)\"" }

    package init(sequence: SequenceNumber, metadataVersion: Int) {
        self.sequence = sequence
        self.metadataVersion = metadataVersion
    }
}

/// The position of a session, and what it waits for.
public struct Turn: Equatable, Sendable {
    public var session: SessionID
    public var phase: SessionPhase
    /// The running step, or the newest; 0 before the first.
    public var step: StepNumber
    /// Number of the pending evaluation; nil when idle.
    public var evaluation: EvaluationNumber?
    /// The trial point while evaluating, the parameters while idle.
    public var x: Vector
    /// The parameters, in the order of their numbers in `x`.
    public var specs: [ParameterSpec]
    /// The result of the newest step; nil while one runs and before the first.
    public var result: StepResult?
    /// While evaluating, if the evaluation is told in parts.
    public var shards: ShardProgress?
    /// While the session waits for a hook.
    public var hookCall: HookCallView?
    /// While evaluating: the iterations of the running step that have ended, and the loss at the
    /// newest accepted point, if it is known.
    public var iterations: Int?
    public var loss: Double?
    public var tag: EntityTag

    package init(
        session: SessionID, phase: SessionPhase, step: StepNumber,
        evaluation: EvaluationNumber? = nil, x: Vector, specs: [ParameterSpec],
        result: StepResult? = nil, shards: ShardProgress? = nil, hookCall: HookCallView? = nil,
        iterations: Int? = nil, loss: Double? = nil, tag: EntityTag
    ) {
        self.session = session
        self.phase = phase
        self.step = step
        self.evaluation = evaluation
        self.x = x
        self.specs = specs
        self.result = result
        self.shards = shards
        self.hookCall = hookCall
        self.iterations = iterations
        self.loss = loss
        self.tag = tag
    }
}

public struct SessionView: Equatable, Sendable {
    public var record: SessionRecord
    public var options: Options
    public var isMaximizing: Bool
    public var shardCount: Int?
    public var groups: [GroupView]
    /// The lowest finite loss that was told (the highest, when maximising).
    public var best: BestEvaluation?
    /// ||g||_inf of the newest evaluation that told one.
    public var gradientNormInf: Double?
    /// The ensemble that it is a member of.
    public var ensemble: EnsembleID?
    public var status: SessionStatus
    public var updatedAt: Date
    public var tag: EntityTag
    /// Bytes of memory that the session may need: its vectors and a full history.
    public var memoryBytesEstimate: Int
    /// Bytes on disk; see `Store.diskBytes`.
    public var diskBytes = 0
    /// Whether there are bounds, and whether there is an L1 term.
    public var isBounded: Bool
    public var hasL1: Bool
    /// How many numbers of the start were outside their bounds, and were moved onto them.
    public var projected: Int

    package init(
        record: SessionRecord, options: Options, isMaximizing: Bool, shardCount: Int? = nil,
        groups: [GroupView], best: BestEvaluation? = nil, status: SessionStatus, updatedAt: Date,
        tag: EntityTag, memoryBytesEstimate: Int, gradientNormInf: Double? = nil,
        ensemble: EnsembleID? = nil, isBounded: Bool = false, hasL1: Bool = false,
        projected: Int = 0
    ) {
        self.gradientNormInf = gradientNormInf
        self.ensemble = ensemble
        self.isBounded = isBounded
        self.hasL1 = hasL1
        self.projected = projected
        self.record = record
        self.options = options
        self.isMaximizing = isMaximizing
        self.shardCount = shardCount
        self.groups = groups
        self.best = best
        self.status = status
        self.updatedAt = updatedAt
        self.tag = tag
        self.memoryBytesEstimate = memoryBytesEstimate
    }
}

/// A group of parameters.
public struct GroupView: Equatable, Sendable {
    /// Its number: 0 for the parameters that the session was created with.
    public var index: Int
    public var group: ParameterGroup
    /// nil if the parameters have no names.
    public var names: [String]?
    /// The number of its parameters.
    public var count: Int
    /// How many of its numbers were outside their bounds when it joined; nil later.
    public var projected: Int?

    package init(
        index: Int, group: ParameterGroup, names: [String]? = nil, count: Int,
        projected: Int? = nil
    ) {
        self.projected = projected
        self.index = index
        self.group = group
        self.names = names
        self.count = count
    }
}

public struct StepView: Equatable, Sendable {
    public var number: StepNumber
    /// nil while the step runs.
    public var record: StepRecord?
    /// Set while the step runs.
    public var startedAt: Date

    package init(number: StepNumber, record: StepRecord? = nil, startedAt: Date) {
        self.number = number
        self.record = record
        self.startedAt = startedAt
    }
}

public struct CheckpointView: Equatable, Sendable {
    public var session: SessionID
    public var record: CheckpointRecord

    package init(session: SessionID, record: CheckpointRecord) {
        self.session = session
        self.record = record
    }
}

public struct ParametersView: Equatable, Sendable {
    public var specs: [ParameterSpec]
    /// Flat, in parameter order.
    public var values: Vector
    /// How many numbers were outside their bounds; nil unless they were just set.
    public var projected: Int?
    public var tag: EntityTag

    package init(
        specs: [ParameterSpec], values: Vector, projected: Int? = nil, tag: EntityTag
    ) {
        self.projected = projected
        self.specs = specs
        self.values = values
        self.tag = tag
    }
}

/// The outcome of a call that may be a repetition.
public struct Outcome<Value: Sendable>: Sendable {
    public var value: Value
    /// Whether the call repeated an earlier one, and changed nothing.
    public var isReplay: Bool

    public init(_ value: Value, isReplay: Bool = false) {
        self.value = value
        self.isReplay = isReplay
    }
}

/// An event of a session's live stream.
public enum SessionEvent: Equatable, Sendable {
    case evaluation(TracePoint)
    /// A step has ended.
    case step(StepRecord)
    /// Unless it changes, the session is deleted then.
    case expiring(Date)
    /// Nothing else for a while: shows the reader that the connection lives.
    case heartbeat
}

/// An event of a stream about many sessions.
public enum FeedEvent: Equatable, Sendable {
    case created(SessionID)
    case deleted(SessionID)
    case session(SessionID, SessionEvent)
    /// Nothing else for a while: shows the reader that the connection lives.
    case heartbeat
}
