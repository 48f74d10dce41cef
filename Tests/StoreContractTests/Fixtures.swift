import Foundation
import Sessions

/// SplitMix64 (Steele, Lea and Flood 2014): a test's numbers follow from the seed that it prints.
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
        return z ^ z >> 31
    }
}

func make(session number: Int) -> SessionID {
    var generator = SeededGenerator(seed: UInt64(number))
    return .random(using: &generator)
}

/// A date with microseconds, as stores keep it.
func make(time seconds: Int) -> Date {
    Date(timeIntervalSince1970: Double(1_700_000_000_000_000 + seconds * 1_000_001) / 1e6)
}

func make(
    record id: SessionID, name: String? = nil, labels: [String: String] = [:],
    origin: Origin? = nil
) -> SessionRecord {
    SessionRecord(
        id: id, name: name, labels: labels, dtype: .float64,
        parameters: [
            ParameterSpec(name: "w", shape: [2, 3]), ParameterSpec(name: nil, shape: []),
        ], origin: origin, createdAt: make(time: 0), metadataVersion: 1)
}

func make(entry sequence: SequenceNumber, _ kind: JournalEntry.Kind = .created) -> JournalEntry {
    JournalEntry(
        sequence: sequence, kind: kind, time: make(time: sequence),
        status: SessionStatus(phase: .idle, step: 0, evaluation: 0, loss: nil))
}

/// An entry that tells evaluation `evaluation`.
func make(
    told evaluation: EvaluationNumber, at sequence: SequenceNumber, loss: Double? = 1.5,
    payload: Octets? = nil
) -> JournalEntry {
    JournalEntry(
        sequence: sequence, kind: loss == nil ? .failed : .told, time: make(time: sequence),
        trace: TracePoint(
            evaluation: evaluation, step: 1, iteration: evaluation - 1, loss: loss,
            gradientNormInf: loss.map { $0 * 2 }, stepLength: 0.25,
            time: make(time: sequence)),
        resultDigest: Digest(high: UInt64(evaluation), low: .max),
        pointDigest: Digest(high: 1 << 63, low: UInt64(sequence)),
        closedEvaluation: nil,
        status: SessionStatus(
            phase: .evaluating, step: 1, evaluation: evaluation + 1, loss: loss),
        payload: payload ?? make(bytes: 24, evaluation))
}

func make(bytes count: Int, _ seed: Int) -> Octets {
    var generator = SeededGenerator(seed: UInt64(seed))
    return Octets((0..<count).map { _ in UInt8(truncatingIfNeeded: generator.next()) })
}

func make(
    snapshot sequence: SequenceNumber,
    _ vectors: [(VectorName, SnapshotDraft.Content)] = [("x", .new([1, 2, 3, 4]))],
    scalars: [UInt8] = [9, 8, 7]
) -> SnapshotDraft {
    SnapshotDraft(
        sequence: sequence, formatVersion: 1, numericsVersion: 7, scalars: scalars,
        vectors: vectors.map { (name: $0.0, content: $0.1) })
}

func make(
    checkpoint number: CheckpointNumber, at sequence: SequenceNumber, name: String? = nil
) -> CheckpointRecord {
    CheckpointRecord(
        number: number, name: name, sequence: sequence, createdAt: make(time: sequence),
        status: SessionStatus(phase: .idle, step: number, evaluation: sequence, loss: 0.5))
}

func make(idempotency key: String, scope: String = "sessions", age: Int = 0) -> IdempotencyRecord {
    IdempotencyRecord(
        scope: scope, key: key, requestDigest: Digest(high: 3, low: 4), outcome: "s1",
        createdAt: make(time: -age))
}

func make(step number: StepNumber, loss: Double? = 0.25) -> StepRecord {
    StepRecord(
        number: number, startedAt: make(time: 1), endedAt: make(time: 2), firstEvaluation: 1,
        lastEvaluation: 4,
        result: StepResult(
            reason: .gradientTolerance, lossBefore: 3, loss: loss, gradientNormInf: 1e-9,
            iterations: 3, evaluations: 4,
            projectedGradientNormInf: number.isMultiple(of: 2) ? nil : 0.125,
            activeBounds: number == 3 ? nil : number))
}

func batch(_ entries: JournalEntry..., change: (inout Batch) -> Void = { _ in }) -> Batch {
    var batch = Batch()
    batch.entries = entries
    change(&batch)
    return batch
}

extension Store {
    /// A session with one entry and one snapshot.
    @discardableResult
    func create(
        _ number: Int, labels: [String: String] = [:],
        _ vectors: [(VectorName, SnapshotDraft.Content)] = [("x", .new([1, 2, 3, 4]))]
    ) async throws(StoreError) -> [VectorName: VectorID] {
        try await create(
            make(record: make(session: number), labels: labels), entry: make(entry: 1),
            snapshot: make(snapshot: 1, vectors), idempotency: nil)
    }
}
