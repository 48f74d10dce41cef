public import struct Foundation.Date

// What ensembles show to callers.

/// What has become of a member.
public enum MemberState: String, Equatable, Sendable, CaseIterable {
    /// Its step has not begun.
    case waiting
    /// Its step runs.
    case running
    /// Its step has ended.
    case ended
    /// Its step was ended early by a rule.
    case abandoned
    /// Its session can't be read.
    case damaged
}

public struct MemberView: Equatable, Sendable {
    public var number: Int
    public var session: SessionID
    public var state: MemberState
    /// From 1 by loss; nil as long as it has none that is finite.
    public var rank: Int?
    /// Of its newest accepted point.
    public var loss: Double?
    public var step: StepNumber
    /// The number of the newest evaluation that was told.
    public var evaluations: Int
    /// Of its newest step, if that has ended.
    public var result: StepResult?
    public var abandonment: Abandonment?
    /// Who evaluates its pending point, and until when it is offered to nobody else.
    public var worker: String?
    public var leaseExpiresAt: Date?
    /// Its newest accepted point, if it was asked for.
    public var x: Vector?

    package init(number: Int, session: SessionID, state: MemberState) {
        self.number = number
        self.session = session
        self.state = state
        step = 0
        evaluations = 0
    }
}

public struct EnsembleView: Equatable, Sendable {
    public var record: EnsembleRecord
    /// How many members are in each state. Deleted ones are in none.
    public var counts: [MemberState: Int]
    public var leaseCount: Int
    /// Of all members together.
    public var evaluations: Int
    /// The member with the lowest finite loss (the highest, when maximizing), with its point.
    public var best: MemberView?
    /// Changes with every change of the ensemble and of its members.
    public var tag: EntityTag

    package init(
        record: EnsembleRecord, counts: [MemberState: Int], leaseCount: Int, evaluations: Int,
        best: MemberView?, tag: EntityTag
    ) {
        self.record = record
        self.counts = counts
        self.leaseCount = leaseCount
        self.evaluations = evaluations
        self.best = best
        self.tag = tag
    }
}

/// A point that a worker is to evaluate.
public struct EnsembleOffer: Equatable, Sendable {
    public var member: Int
    public var session: SessionID
    public var evaluation: EvaluationNumber
    public var x: Vector
    public var leaseExpiresAt: Date

    package init(
        member: Int, session: SessionID, evaluation: EvaluationNumber, x: Vector,
        leaseExpiresAt: Date
    ) {
        self.member = member
        self.session = session
        self.evaluation = evaluation
        self.x = x
        self.leaseExpiresAt = leaseExpiresAt
    }
}

/// What a request for points is answered with.
public struct EnsembleTurn: Equatable, Sendable {
    public var ensemble: EnsembleID
    public var outcome: EnsembleOutcome?
    public var offers: [EnsembleOffer]
    /// When the first lease ends, if all points are leased and the ensemble runs.
    public var retryAfterSeconds: Int?
    public var tag: EntityTag

    package init(
        ensemble: EnsembleID, outcome: EnsembleOutcome?, offers: [EnsembleOffer],
        retryAfterSeconds: Int?, tag: EntityTag
    ) {
        self.ensemble = ensemble
        self.outcome = outcome
        self.offers = offers
        self.retryAfterSeconds = retryAfterSeconds
        self.tag = tag
    }
}

/// A point of a member's trace.
public struct MemberTracePoint: Equatable, Sendable {
    public var member: Int
    public var session: SessionID
    public var point: TracePoint

    package init(member: Int, session: SessionID, point: TracePoint) {
        self.member = member
        self.session = session
        self.point = point
    }
}

/// An event of an ensemble's live stream.
public enum EnsembleEvent: Equatable, Sendable {
    case evaluation(MemberTracePoint)
    /// A member's step has ended, or was ended by a rule.
    case member(MemberView)
    case finished(EnsembleOutcome)
    /// Nothing else for a while: shows the reader that the connection lives.
    case heartbeat
}
