internal import Foundation
internal import LBFGS

// The format on disk of what isn't a vector: binary property lists, which keep every bit of a
// float, describe themselves, and can be read without this program. `formatVersion` is raised by
// a change that an older reader would misunderstand.

/// The scalars of a snapshot.
struct StoredScalars: Codable {
    enum Engine: Codable {
        case float64(OptimizerSnapshot<Double>.Scalars)
        case float32(OptimizerSnapshot<Float>.Scalars)
    }

    var session: SessionState.Scalars
    var engine: Engine
}

enum StateCodec {
    /// 2: an engine with a `numerics`, which a reader of 1 would pass over.
    static let formatVersion = 2
    private static let pairPrefix = "pair/"
    private static let shardPrefix = "shard/"
    private static let hookedDictName = "hooked_dict"

    static func encode(_ options: Options) -> [UInt8] { encodeList(options) }

    static func decodeOptions(_ bytes: [UInt8]) -> Options? {
        try? PropertyListDecoder().decode(Options.self, from: Data(bytes))
    }

    /// Empty for a step that was begun with nothing.
    static func encode(_ request: StepRequest) -> [UInt8] {
        request == StepRequest() ? [] : encodeList(request)
    }

    static func decodeStep(_ bytes: [UInt8]) -> StepRequest? {
        if bytes.isEmpty { return StepRequest() }
        return try? PropertyListDecoder().decode(StepRequest.self, from: Data(bytes))
    }

    static func encode(_ lease: LeaseRecord) -> [UInt8] { encodeList(lease) }

    static func decodeLease(_ bytes: [UInt8]) -> LeaseRecord? {
        try? PropertyListDecoder().decode(LeaseRecord.self, from: Data(bytes))
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
        let encoder = PropertyListEncoder()
        encoder.outputFormat = .binary
        do {
            return Array(try encoder.encode(value))
        } catch {
            preconditionFailure("plain scalars can be encoded: \(error)")
        }
    }

    /// A snapshot of the state; pairs that are on disk are named, not written again.
    static func draft(of state: SessionState) -> SnapshotDraft {
        let engine = state.engine.stored()
        var vectors: [(name: VectorName, content: SnapshotDraft.Content)] =
            engine.vectors.sorted { $0.key < $1.key }.map { ($0.key, .new($0.value)) }
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
            sequence: state.scalars.sequence, formatVersion: formatVersion,
            numericsVersion: state.engine.numerics,
            scalars: encodeList(StoredScalars(session: state.scalars, engine: engine.scalars)),
            vectors: vectors)
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
            scalars = try PropertyListDecoder().decode(
                StoredScalars.self, from: Data(snapshot.scalars))
        } catch {
            throw UnreadableSnapshot(reason: "scalars can't be read: \(error)")
        }
        let count = scalars.session.layout.count
        let engine: any SessionEngine
        switch (scalars.engine, dtype) {
        case (.float64(let scalars), .float64):
            engine = try self.engine(scalars, from: snapshot, count: count)
        case (.float32(let scalars), .float32):
            engine = try self.engine(scalars, from: snapshot, count: count)
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
                hookedDict = try PropertyListDecoder().decode(
                    StoredStateDict.self, from: Data(bytes)
                ).dict
            } catch {
                throw UnreadableSnapshot(reason: "the state dict in it can't be read: \(error)")
            }
        }
        return SessionState(
            dtype: dtype, scalars: scalars.session, engine: engine, shards: shards,
            hookedDict: hookedDict, storedPairs: pairs(in: snapshot.vectors.mapValues(\.id)),
            background: background)
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
        _ scalars: OptimizerSnapshot<Scalar>.Scalars, from snapshot: StoredSnapshot, count: Int
    ) throws(UnreadableSnapshot) -> Optimizer<Scalar> {
        var vectors: [String: [Scalar]] = [:]
        var pairs: [CurvaturePair<Scalar>] = []
        for (name, vector) in snapshot.vectors {
            if name.hasPrefix(pairPrefix) {
                guard let number = Int(name.dropFirst(pairPrefix.count)),
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
            throw UnreadableSnapshot(reason: "\(error)")
        }
    }
}

struct UnreadableSnapshot: Error, Equatable {
    var reason: String
}
