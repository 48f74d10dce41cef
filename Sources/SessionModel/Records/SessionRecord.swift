public import struct Foundation.Date

/// What identifies and describes a session. Name, labels, parameters and `memoryBytes` can change.
public struct SessionRecord: Equatable, Sendable {
    public var id: SessionID
    public var name: String?
    public var labels: [String: String]
    public var dtype: DType
    public var parameters: [ParameterSpec]
    public var origin: Origin?
    public var createdAt: Date
    /// Counts changes of the record. Part of the session's ETag.
    public var metadataVersion: Int
    /// Bytes of memory that the session may need.
    public var memoryBytes: Int
    /// Whose it is.
    public var tenant: String
    /// The seconds without a change or a request after which it may be deleted; nil: never.
    public var expiresAfter: Int?

    /// Whose sessions are that were made without a token, or before there were tenants.
    public static let defaultTenant = "default"

    public init(
        id: SessionID, name: String?, labels: [String: String], dtype: DType,
        parameters: [ParameterSpec], origin: Origin?, createdAt: Date, metadataVersion: Int,
        memoryBytes: Int = 0, tenant: String = defaultTenant, expiresAfter: Int? = nil
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
        self.tenant = tenant
        self.expiresAfter = expiresAfter
    }

    /// When the session is deleted if nothing changes; nil: never.
    public func expiry(unchangedSince date: Date) -> Date? {
        expiresAfter.map { date.addingTimeInterval(Double($0)) }
    }

    /// When watchers are told of that: a day before, or at half the time if that is later.
    public func expiryWarning(unchangedSince date: Date) -> Date? {
        guard let expiresAfter else { return nil }
        return expiry(unchangedSince: date)?
            .addingTimeInterval(-min(86_400, Double(expiresAfter) / 2))
    }

    /// n: numbers in all parameters together.
    public var parameterCount: Int { parameters.reduce(0) { $0 + $1.count } }
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

/// What a session waits for.
public enum SessionPhase: String, Equatable, Sendable, Codable, CaseIterable {
    case idle
    case evaluating
    case awaitingHook = "awaiting_hook"
}

/// The position of a session after a journal entry, which a listing shows without loading it.
public struct SessionStatus: Equatable, Sendable {
    public var phase: SessionPhase
    /// The newest step, 0 before the first.
    public var step: StepNumber
    /// The newest evaluation asked for, 0 before the first.
    public var evaluation: EvaluationNumber
    /// The loss of the newest accepted point.
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

/// How far a session has come, which a listing shows without loading it.
public struct SessionProgress: Equatable, Sendable {
    /// The lowest finite loss that was told (the highest, when maximising).
    public var best: BestEvaluation?
    public var mode: Options.Mode
    /// ||g||_inf of the newest evaluation that told one.
    public var gradientNormInf: Double?

    public init(
        best: BestEvaluation? = nil, mode: Options.Mode, gradientNormInf: Double? = nil
    ) {
        self.best = best
        self.mode = mode
        self.gradientNormInf = gradientNormInf
    }
}

/// A line of a listing.
public struct SessionSummary: Equatable, Sendable {
    public var record: SessionRecord
    public var status: SessionStatus
    /// nil if the session's newest entry was written before it was kept.
    public var progress: SessionProgress?
    /// The ensemble that it is a member of.
    public var ensemble: EnsembleID?
    public var updatedAt: Date
    public var sequence: SequenceNumber

    public init(
        record: SessionRecord, status: SessionStatus, progress: SessionProgress? = nil,
        ensemble: EnsembleID? = nil, updatedAt: Date, sequence: SequenceNumber
    ) {
        self.progress = progress
        self.ensemble = ensemble
        self.record = record
        self.status = status
        self.updatedAt = updatedAt
        self.sequence = sequence
    }
}

extension SessionSummary {
    /// A session that has just been created.
    package init(
        record: SessionRecord, createdWith entry: JournalEntry, ensemble: EnsembleID? = nil
    ) {
        self.init(
            record: record, status: entry.status, progress: entry.progress, ensemble: ensemble,
            updatedAt: entry.time, sequence: entry.sequence)
    }
}
