internal import SessionModel

internal import struct Foundation.Date

/// What an ensemble knows of a member: where its session stands, as it was on disk when it was last
/// seen.
struct Member: Equatable, Sendable {
    /// Who evaluates the pending point, and until when it is offered to nobody else. Only in
    /// memory: after a restart the point is offered again.
    struct Lease: Equatable, Sendable {
        var worker: String
        /// nil while the step is being begun.
        var evaluation: EvaluationNumber?
        var expiresAt: Date
    }

    let number: Int
    let session: SessionID
    /// nil if the session can't be read.
    var status: SessionStatus?
    /// Of the session's journal: tells a newer status from an older one.
    var sequence: SequenceNumber = 0
    /// Of the newest step, if that has ended.
    var result: StepResult?
    /// The newest evaluation that was told.
    var evaluations = 0
    var abandonment: Abandonment?
    var lease: Lease?
    /// Whether the pending evaluation is told in shards, which the ensemble leaves to others.
    var isInShards = false
    /// The pending evaluation's point, if it was seen.
    var pending: Turn?
    /// The newest accepted point, if a rule needs it and it was seen.
    var point: Vector?
    /// By which stagnation is measured.
    var progress = ProgressRecord()
    /// Whether it stands in a queue of members whose point is to be offered.
    var isQueued = false

    init(number: Int, session: SessionID) {
        self.number = number
        self.session = session
    }

    var state: MemberState {
        guard let status else { return .damaged }
        // A step that was begun after the abandoned one is a run like any other.
        if let abandonment, status.step <= abandonment.step { return .abandoned }
        if status.phase != .idle { return .running }
        return status.step == 0 ? .waiting : .ended
    }

    /// Whether there is, or will be, a point of it that a worker can evaluate.
    var isOfferable: Bool {
        switch state {
        case .waiting: true
        case .running: status?.phase == .evaluating && !isInShards
        case .ended, .abandoned, .damaged: false
        }
    }

    /// The loss of the newest accepted point, if it is finite.
    var loss: Double? { status?.loss.flatMap { $0.isFinite ? $0 : nil } }
}

/// The progress of a run by its stagnation rule: a recurrence over the losses that were told, in
/// their order, so that it is the same whether they are seen live or in the trace.
struct ProgressRecord: Equatable, Sendable {
    /// The loss that the next improvement is measured against.
    private(set) var loss: Double?
    /// The evaluation that had it.
    private(set) var evaluation: EvaluationNumber = 0

    /// - Parameter sign: 1 if losses fall, -1 if they rise.
    mutating func note(
        _ told: Double?, of number: EvaluationNumber, tolerance: Double, sign: Double
    ) {
        guard let told, told.isFinite else { return }
        let value = sign * told
        if let loss, value >= loss - tolerance * max(1, abs(loss)) { return }
        loss = value
        evaluation = number
    }
}
