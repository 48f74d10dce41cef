internal import Foundation
internal import LBFGS

// The format on disk of what isn't a vector: see BinaryPropertyList. `formatVersion` is raised by a
// change that an older reader would misunderstand.

/// The scalars of a snapshot.
struct StoredScalars: Codable {
    enum Engine: Codable {
        case float64(OptimizerSnapshot<Double>.Scalars)
        case float32(OptimizerSnapshot<Float>.Scalars)
    }

    var session: SessionState.Scalars
    var engine: Engine
    /// The vectors that are kept as `RunLengths`, by name; nil if there are none.
    var runs: [VectorName: Data]?
}

enum StateCodec {
    /// 2: an engine with a `numerics`, which a reader of 1 would pass over. 3: vectors as `runs`,
    /// which a reader of 2 would miss; a snapshot without them is written as 2. 4: bounds or an L1
    /// term, without which a reader of 3 would go on; other snapshots are written as 2 or 3.
    static let formatVersion = 4
    private static let formatVersionWithRuns = 3
    private static let formatVersionWithoutRuns = 2
    private static let pairPrefix = "pair/"
    private static let shardPrefix = "shard/"
    private static let hookedDictName = "hooked_dict"
    /// The engine's vectors of bounds and weights.
    private static let boundsNames = BoundsField.allCases.map(\.rawValue)

    static func encode(_ options: Options) -> [UInt8] { encodeList(options) }

    static func decodeOptions(_ bytes: [UInt8]) -> Options? {
        try? BinaryPropertyList.decode(Options.self, from: bytes)
    }

    /// Empty for a step that was begun with nothing.
    static func encode(_ request: StepRequest) -> [UInt8] {
        request == StepRequest() ? [] : encodeList(request)
    }

    static func decodeStep(_ bytes: [UInt8]) -> StepRequest? {
        if bytes.isEmpty { return StepRequest() }
        return try? BinaryPropertyList.decode(StepRequest.self, from: bytes)
    }

    static func encode(_ lease: LeaseRecord) -> [UInt8] { encodeList(lease) }

    static func decodeLease(_ bytes: [UInt8]) -> LeaseRecord? {
        try? BinaryPropertyList.decode(LeaseRecord.self, from: bytes)
    }

    /// The shard's number in eight bytes, then what was told.
    static func encode(shard: Int, _ result: ShardResult) -> [UInt8] {
        littleEndianBytes([Double(shard)]) + result.bytes
    }

    static func decodeShard(_ bytes: [UInt8]) -> (shard: Int, result: ShardResult)? {
        guard bytes.count > 8 else { return nil }
        let number: [Double] = values(fromLittleEndianBytes: Array(bytes.prefix(8)))
        guard let shard = Int(exactly: number[0]), shard >= 0,
            let result = ShardResult(bytes: Array(bytes.dropFirst(8)))
        else { return nil }
        return (shard, result)
    }

    private static func encodeList(_ value: some Encodable) -> [UInt8] {
        do {
            return try BinaryPropertyList.encode(value)
        } catch {
            preconditionFailure("plain scalars can be encoded: \(error)")
        }
    }

    /// A snapshot of the state; pairs that are on disk are named, not written again.
    static func draft(of state: SessionState) -> SnapshotDraft {
        let engine = state.engine.stored()
        var runs: [VectorName: Data] = [:]
        var vectors: [(name: VectorName, content: SnapshotDraft.Content)] = []
        for (name, octets) in engine.vectors.sorted(by: { $0.key < $1.key }) {
            if let stored = state.storedBounds[name] {
                vectors.append((name, .stored(stored)))
            } else if case .vector(let vector) = octets, let encoded = RunLengths.encode(vector) {
                runs[name] = encoded
            } else {
                vectors.append((name, .new(octets)))
            }
        }
        for pair in engine.pairs {
            let content: SnapshotDraft.Content =
                state.storedPairs[pair.number].map { .stored($0) } ?? .new(pair.octets())
            vectors.append(("\(pairPrefix)\(pair.number)", content))
        }
        for (shard, result) in state.shards.delivered.sorted(by: { $0.key < $1.key }) {
            vectors.append(("\(shardPrefix)\(shard)", .new(Octets(result.bytes))))
        }
        if let dict = state.hookedDict {
            vectors.append((hookedDictName, .new(Octets(encodeList(StoredStateDict(dict))))))
        }
        return SnapshotDraft(
            sequence: state.scalars.sequence,
            formatVersion: formatVersion(of: state, hasRuns: !runs.isEmpty),
            numericsVersion: state.engine.numerics,
            scalars: encodeList(
                StoredScalars(
                    session: state.scalars, engine: engine.scalars,
                    runs: runs.isEmpty ? nil : runs)),
            vectors: vectors)
    }

    private static func formatVersion(of state: SessionState, hasRuns: Bool) -> Int {
        if state.engine.numerics >= numericsVersionWithBounds { return formatVersion }
        return hasRuns ? formatVersionWithRuns : formatVersionWithoutRuns
    }

    /// Which vectors of bounds a snapshot names.
    static func bounds(in names: [VectorName: VectorID]) -> [VectorName: VectorID] {
        names.filter { boundsNames.contains($0.key) }
    }

    /// Which pairs a snapshot's vectors hold.
    static func pairs(in names: [VectorName: VectorID]) -> [Int: VectorID] {
        var pairs: [Int: VectorID] = [:]
        for (name, id) in names where name.hasPrefix(pairPrefix) {
            if let number = Int(name.dropFirst(pairPrefix.count)) { pairs[number] = id }
        }
        return pairs
    }

    /// The state that the snapshot holds; throws what is wrong with it, in words.
    static func state(
        from snapshot: StoredSnapshot, dtype: DType, _ background: BackgroundWork
    ) throws(UnreadableSnapshot) -> SessionState {
        guard 1...formatVersion ~= snapshot.formatVersion else {
            throw UnreadableSnapshot(
                reason:
                    "format \(snapshot.formatVersion); this version reads 1 to \(formatVersion)")
        }
        let scalars: StoredScalars
        do {
            scalars = try BinaryPropertyList.decode(StoredScalars.self, from: snapshot.scalars)
        } catch {
            throw UnreadableSnapshot(reason: "scalars can't be read: \(error)")
        }
        try scalars.session.validate()
        try require(
            scalars.session.sequence == snapshot.sequence, "sequence",
            "is \(scalars.session.sequence), in the snapshot of entry \(snapshot.sequence)")
        let count = scalars.session.layout.count
        let runs = scalars.runs ?? [:]
        let engine: any SessionEngine
        switch (scalars.engine, dtype) {
        case (.float64(let scalars), .float64):
            engine = try self.engine(scalars, from: snapshot, runs, count: count)
        case (.float32(let scalars), .float32):
            engine = try self.engine(scalars, from: snapshot, runs, count: count)
        case (.float64, .float32), (.float32, .float64):
            throw UnreadableSnapshot(reason: "has another precision than its session")
        }
        var shards = ShardTable(count: scalars.session.stepShardCount)
        for (name, vector) in snapshot.vectors where name.hasPrefix(shardPrefix) {
            guard let shard = Int(name.dropFirst(shardPrefix.count)),
                let result = ShardResult(bytes: try bytes(of: vector, name))
            else { throw UnreadableSnapshot(reason: "\(name) can't be read") }
            shards[shard] = result
        }
        var hookedDict: StateDict?
        if let stored = snapshot.vectors[hookedDictName] {
            let bytes = try bytes(of: stored, hookedDictName)
            do {
                let dict = try BinaryPropertyList.decode(StoredStateDict.self, from: bytes)
                try dict.validate()
                hookedDict = dict.dict
            } catch let error as UnreadableSnapshot {
                throw error
            } catch {
                throw UnreadableSnapshot(reason: "the state dict in it can't be read: \(error)")
            }
        }
        let stored = snapshot.vectors.mapValues(\.id)
        let state = SessionState(
            dtype: dtype, scalars: scalars.session, engine: engine, shards: shards,
            hookedDict: hookedDict, storedPairs: pairs(in: stored),
            storedBounds: bounds(in: stored), background: background)
        try state.validate()
        return state
    }

    /// What the scalars of a snapshot say for a listing; nil if they can't be read.
    static func progress(from scalars: [UInt8]) -> SessionProgress? {
        guard let stored = try? BinaryPropertyList.decode(StoredScalars.self, from: scalars) else {
            return nil
        }
        let options =
            switch stored.engine {
            case .float64(let scalars): scalars.optionsInUse
            case .float32(let scalars): scalars.optionsInUse
            }
        // The first are those of the next step, which a session shows.
        guard let mode = options.first?.mode else { return nil }
        return SessionProgress(
            best: stored.session.best, mode: mode,
            gradientNormInf: stored.session.gradientNormInf)
    }

    private static func bytes(
        of vector: StoredSnapshot.StoredVector, _ name: VectorName
    ) throws(UnreadableSnapshot) -> [UInt8] {
        do {
            return try vector.octets.bytes()
        } catch {
            throw UnreadableSnapshot(reason: "\(name) can't be read: \(error)")
        }
    }

    private static func numbers<Scalar: VectorScalar>(
        of vector: StoredSnapshot.StoredVector, _ name: VectorName
    ) throws(UnreadableSnapshot) -> [Scalar] {
        let read: Vector?
        do {
            read = try vector.octets.vector(as: Scalar.dtype)
        } catch {
            throw UnreadableSnapshot(reason: "\(name) can't be read: \(error)")
        }
        guard let values = read.flatMap(Scalar.values(of:)) else {
            throw UnreadableSnapshot(reason: "\(name) has \(vector.octets.count) bytes")
        }
        return values
    }

    private static func pair<Scalar: VectorScalar>(
        _ number: Int, _ vector: StoredSnapshot.StoredVector, _ name: VectorName, count: Int
    ) throws(UnreadableSnapshot) -> CurvaturePair<Scalar>? {
        do {
            return try CurvaturePair.read(vector.octets, number: number, count: count)
        } catch {
            throw UnreadableSnapshot(reason: "\(name) can't be read: \(error)")
        }
    }

    private static func engine<Scalar: VectorScalar>(
        _ scalars: OptimizerSnapshot<Scalar>.Scalars, from snapshot: StoredSnapshot,
        _ runs: [VectorName: Data], count: Int
    ) throws(UnreadableSnapshot) -> Optimizer<Scalar> {
        var vectors: [String: [Scalar]] = [:]
        for (name, data) in runs {
            let vector = RunLengths.decode(data, count: count, as: Scalar.dtype)
            guard let values = vector.flatMap(Scalar.values(of:)) else {
                throw UnreadableSnapshot(reason: "the runs of \(name) aren't of \(count) numbers")
            }
            vectors[name] = values
        }
        var pairs: [CurvaturePair<Scalar>] = []
        for (name, vector) in snapshot.vectors {
            if name.hasPrefix(pairPrefix) {
                guard let number = Int(name.dropFirst(pairPrefix.count)),
                    1...storedPairNumberMax ~= number,
                    let pair: CurvaturePair<Scalar> = try pair(number, vector, name, count: count)
                else {
                    throw UnreadableSnapshot(reason: "\(name) has \(vector.octets.count) bytes")
                }
                pairs.append(pair)
            } else if !name.hasPrefix(shardPrefix) && name != hookedDictName {
                vectors[name] = try numbers(of: vector, name)
            }
        }
        pairs.sort { $0.number < $1.number }
        do {
            return try Optimizer(
                OptimizerSnapshot(scalars: scalars, vectors: vectors, pairs: pairs))
        } catch {
            throw UnreadableSnapshot(field: error.field, reason: error.reason)
        }
    }
}
