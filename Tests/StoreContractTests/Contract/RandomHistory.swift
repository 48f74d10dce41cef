import Sessions

/// Changes that sessions could make, and some that they couldn't.
struct RandomHistory {
    private var generator: SeededGenerator
    /// The numbers that sessions can have. None is given twice, as identifiers are not: three
    /// sessions at a time.
    static let sessions = 1...99
    private var lives = [0, 0, 0]
    private var newest: [Int: SequenceNumber] = [:]
    private var nextCheckpoint: [Int: CheckpointNumber] = [:]

    init(seed: UInt64) { generator = SeededGenerator(seed: seed) }

    mutating func next() -> Change {
        let slot = Int.random(in: 1...3, using: &generator)
        let session = number(inSlot: slot)
        let donor = number(inSlot: slot % 3 + 1)
        guard let sequence = newest[session] else {
            newest[session] = 1
            nextCheckpoint[session] = 1
            return Change(
                session: session, kind: .create(bytes: bytes(), donor: chance(2) ? donor : nil))
        }
        if chance(40) {
            lives[slot - 1] += 1
            return Change(session: session, kind: .delete)
        }
        var batch = Batch()
        var last = sequence
        for _ in 0..<Int.random(in: 0...3, using: &generator) {
            last += 1
            batch.entries.append(
                make(told: last, at: last, loss: chance(5) ? nil : 1 / Double(last)))
        }
        if chance(4) { batch.snapshot = make(snapshot: last, [("x", .new(bytes()))]) }
        if chance(4), let number = nextCheckpoint[session] {
            batch.checkpoint = make(checkpoint: number, at: last)
            nextCheckpoint[session] = number + 1
        }
        let removed = chance(5) ? Int.random(in: 1...5, using: &generator) : nil
        if let removed {
            // Perhaps there is none: the journal's growth mustn't depend on it.
            batch = Batch()
            batch.removedCheckpoint = removed
        } else if chance(20) {
            batch.entries.append(make(entry: last + 5))
        } else {
            newest[session] = last
        }
        return Change(
            session: session, kind: .commit(batch, sharesVectors: chance(2)))
    }

    private func number(inSlot slot: Int) -> Int { slot + 3 * lives[slot - 1] }

    private mutating func chance(_ oneIn: Int) -> Bool {
        Int.random(in: 0..<oneIn, using: &generator) == 0
    }

    private mutating func bytes() -> Octets {
        make(
            bytes: Int.random(in: 0...48, using: &generator),
            Int.random(in: 0...9, using: &generator))
    }
}

struct Change {
    enum Kind {
        case create(bytes: Octets, donor: Int?)
        case commit(Batch, sharesVectors: Bool)
        case delete
    }

    var session: Int
    var kind: Kind

    /// nil when it was accepted. Vectors are shared by asking the store for what it holds.
    func apply(to store: any Store) async -> StoreError? {
        let id = make(session: session)
        do throws(StoreError) {
            switch kind {
            case .create(let bytes, let donor):
                var vectors: [(VectorName, SnapshotDraft.Content)] = [("x", .new(bytes))]
                if let donor, let donor = try? await store.load(make(session: donor)) {
                    vectors += donor.snapshot.vectors.values.sorted { $0.id < $1.id }
                        .enumerated().map { ("fork/\($0)", .stored($1.id)) }
                }
                try await store.create(session, vectors)
            case .commit(var batch, let shares):
                if shares, batch.snapshot != nil, let current = try? await store.load(id) {
                    for vector in current.snapshot.vectors.values.sorted(by: { $0.id < $1.id }) {
                        let name = "s/\(batch.snapshot?.vectors.count ?? 0)"
                        batch.snapshot?.vectors.append((name, .stored(vector.id)))
                    }
                }
                try await store.commit(batch, to: id)
            case .delete:
                try await store.delete(id)
            }
            return nil
        } catch {
            return error
        }
    }
}
