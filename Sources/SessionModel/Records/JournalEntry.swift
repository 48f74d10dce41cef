public import struct Foundation.Date

/// One event of a session's journal.
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
        /// A shard of an evaluation. Payload: its number, loss and gradient. The shard that
        /// completes the evaluation also has what `told` has.
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
        case boundsChanged = 18
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
    /// The session's position after the event.
    public var status: SessionStatus
    /// What else a listing shows of the session after the event; nil in entries that were written
    /// before it was kept, and in those that are kept for their trace alone.
    public var progress: SessionProgress?
    /// What replay needs besides the fields above.
    public var payload: Octets

    public init(
        sequence: SequenceNumber, kind: Kind, time: Date, trace: TracePoint? = nil,
        resultDigest: Digest? = nil, pointDigest: Digest? = nil,
        closedEvaluation: EvaluationNumber? = nil, status: SessionStatus,
        progress: SessionProgress? = nil, payload: Octets = []
    ) {
        self.progress = progress
        self.sequence = sequence
        self.kind = kind
        self.time = time
        self.trace = trace
        self.resultDigest = resultDigest
        self.pointDigest = pointDigest
        self.closedEvaluation = closedEvaluation
        self.status = status
        self.payload = payload
    }
}
