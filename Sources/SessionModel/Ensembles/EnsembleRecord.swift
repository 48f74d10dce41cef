public import struct Foundation.Date

/// An ensemble as a store keeps it. What it has besides follows from its members' sessions.
public struct EnsembleRecord: Equatable, Sendable {
    public var id: EnsembleID
    /// Whose it is, and its members.
    public var tenant: String
    public var specification: EnsembleSpecification
    public var createdAt: Date
    /// nil while it runs.
    public var outcome: EnsembleOutcome?

    public init(
        id: EnsembleID, tenant: String, specification: EnsembleSpecification, createdAt: Date,
        outcome: EnsembleOutcome? = nil
    ) {
        self.id = id
        self.tenant = tenant
        self.specification = specification
        self.createdAt = createdAt
        self.outcome = outcome
    }
}

public struct EnsembleOutcome: Equatable, Sendable {
    /// Raw values are on disk and in answers.
    public enum Reason: String, Equatable, Sendable, CaseIterable {
        /// Every member has ended or was abandoned.
        case allEnded = "all_ended"
        case target
        case evaluations
        /// A client stopped it.
        case stopped
    }

    public var reason: Reason
    public var finishedAt: Date

    public init(_ reason: Reason, at finishedAt: Date) {
        self.reason = reason
        self.finishedAt = finishedAt
    }
}

/// That a member's step was ended early, and why.
public struct Abandonment: Equatable, Sendable {
    /// Raw values are on disk and in answers.
    public enum Reason: String, Equatable, Sendable, CaseIterable {
        case stagnation
        case sameBasin = "same_basin"
    }

    public var reason: Reason
    /// The step that was ended. A later one of the session is a new run.
    public var step: StepNumber
    /// The member whose basin it is.
    public var other: Int?

    public init(_ reason: Reason, step: StepNumber, other: Int? = nil) {
        self.reason = reason
        self.step = step
        self.other = other
    }
}

/// A session to be created.
public struct NewSession: Sendable {
    public var record: SessionRecord
    public var entry: JournalEntry
    public var snapshot: SnapshotDraft

    public init(record: SessionRecord, entry: JournalEntry, snapshot: SnapshotDraft) {
        self.record = record
        self.entry = entry
        self.snapshot = snapshot
    }
}

/// A member as a store reads it.
public struct StoredMember: Equatable, Sendable {
    /// From 0, in the order of the starts.
    public var number: Int
    public var session: SessionID
    public var abandonment: Abandonment?
    /// nil if the session's rows are damaged.
    public var summary: SessionSummary?
    /// The session's newest step that has ended.
    public var lastStep: StepRecord?

    public init(
        number: Int, session: SessionID, abandonment: Abandonment?, summary: SessionSummary?,
        lastStep: StepRecord?
    ) {
        self.number = number
        self.session = session
        self.abandonment = abandonment
        self.summary = summary
        self.lastStep = lastStep
    }
}
