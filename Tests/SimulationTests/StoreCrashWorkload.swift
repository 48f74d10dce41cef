import Foundation
import SQLiteStore
import Sessions
import Testing

// A workload whose every state follows from (session, sequence), so that a reopened store can be
// checked without knowing what happened to it.

func workID(_ session: Int) -> SessionID {
    var generator = Seeded(state: UInt64(session))
    return .random(using: &generator)
}

/// Odd numbers give byte strings that are long enough for a segment.
private func workBytes(_ session: Int, _ sequence: Int) -> Octets {
    let count = sequence.isMultiple(of: 2) ? 60 : 700
    return Octets((0..<count).map { UInt8(truncatingIfNeeded: $0 &* sequence &+ session) })
}

private func workEntry(_ session: Int, _ sequence: Int) -> JournalEntry {
    JournalEntry(
        sequence: sequence, kind: sequence == 1 ? .created : .told,
        time: Date(timeIntervalSince1970: Double(sequence)),
        status: SessionStatus(
            phase: .idle, step: 0, evaluation: sequence, loss: 1 / Double(sequence)),
        payload: workBytes(session, sequence))
}

private func workSnapshot(_ session: Int, _ sequence: Int) -> SnapshotDraft {
    SnapshotDraft(
        sequence: sequence, formatVersion: 1, numericsVersion: 1,
        scalars: [UInt8(sequence % 256)],
        vectors: [(name: "x", content: .new(workBytes(session, sequence)))])
}

extension SQLiteStore {
    func begin(_ session: Int) async throws {
        let record = SessionRecord(
            id: workID(session), name: nil, labels: [:], dtype: .float64, parameters: [],
            origin: nil, createdAt: Date(timeIntervalSince1970: 0), metadataVersion: 1)
        _ = try await create(
            record, entry: workEntry(session, 1), snapshot: workSnapshot(session, 1),
            idempotency: nil)
    }

    /// A snapshot with every fifth entry, a checkpoint with every eighth.
    func advance(_ session: Int, to sequence: SequenceNumber) async throws {
        var batch = Batch()
        batch.entries = [workEntry(session, sequence)]
        if sequence.isMultiple(of: 5) { batch.snapshot = workSnapshot(session, sequence) }
        if sequence.isMultiple(of: 8) {
            batch.checkpoint = CheckpointRecord(
                number: sequence / 8, name: nil, sequence: sequence,
                createdAt: Date(timeIntervalSince1970: 0),
                status: workEntry(session, sequence).status)
        }
        try await commit(batch, to: workID(session))
    }

    /// The session is exactly what it was after its newest entry.
    func verify(_ session: Int, _ comment: String) async throws {
        let loaded: StoredSession
        do throws(StoreError) {
            loaded = try await load(workID(session))
        } catch {
            #expect(error == .missing, "\(comment)")
            return
        }
        let newest = loaded.newest.sequence
        let below = newest >= 5 ? newest / 5 * 5 : 1
        #expect(loaded.snapshot.sequence == below, "\(comment)")
        #expect(loaded.snapshot.vectors["x"]?.octets == workBytes(session, below), "\(comment)")
        let tail = below < newest ? (below + 1...newest).map { workEntry(session, $0) } : []
        #expect(loaded.tail == tail, "\(comment)")
        #expect(loaded.nextCheckpoint == newest / 8 + 1, "\(comment)")
        for number in 1..<loaded.nextCheckpoint {
            let checkpoint = try await load(workID(session), checkpoint: number)
            let sequence = number * 8
            let below = sequence / 5 * 5
            let bytes = checkpoint.snapshot.vectors["x"]?.octets
            #expect(bytes == workBytes(session, below), "\(comment)")
            #expect(
                checkpoint.tail == (below..<sequence).map { workEntry(session, $0 + 1) },
                "\(comment)")
        }
    }
}

/// A copy as a power loss leaves it: the WAL's index, which is shared memory, is lost.
func copyCrashed(_ directory: String, to copy: String) throws {
    try FileManager.default.copyItem(atPath: directory, toPath: copy)
    try? FileManager.default.removeItem(atPath: copy + "/lbfgsd.sqlite-shm")
}

func sizeOfFile(_ path: String) throws -> Int {
    try FileManager.default.attributesOfItem(atPath: path)[.size] as? Int ?? 0
}

/// SplitMix64 (Steele, Lea and Flood 2014).
struct Seeded: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
        return z ^ z >> 31
    }
}
