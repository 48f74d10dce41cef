internal import LBFGS

/// A session file that is being read: first its header, which must be all right before any number
/// is read, then its tensors, in any order.
///
/// The file may come from anybody. What the header says is compared with the limits that hold for
/// new sessions, and validated as stored states are.
public struct SessionImport: Sendable {
    private let session: ExportedSession
    private let engine: StoredScalars.Engine
    private let count: Int
    /// Tensors that have not been taken.
    private var expected: [String: Content]
    private var vectors: [String: Vector] = [:]
    private var trialPoint: Vector?
    private var pairs: [Int: ImportedPair] = [:]
    private var shards: [Int: [Double]] = [:]

    /// Bytes of the file's tensors.
    public let byteCount: Int
    var name: String? { session.name }
    var labels: [String: String] { session.labels }

    /// What a tensor is.
    private enum Content {
        case vector
        case trialPoint
        case step(Int), change(Int), stepProducts(Int), changeProducts(Int)
        case shard(Int)
        case digest
    }

    /// A pair whose parts may arrive in any order.
    private struct ImportedPair {
        var dtype: HistoryDType
        var s: [UInt8] = []
        var y: [UInt8] = []
        var sy: [Double] = []
        var yy: [Double] = []
    }

    /// - Throws: `invalid` with what is wrong: another format or version, a value that no state
    ///   has, a tensor too few or too many, or a size beyond a limit.
    public init(_ header: SessionFile.Header, limits: Limits) throws(SessionError) {
        do throws(UnreadableSnapshot) {
            try SessionImport.checkFormat(header.metadata)
            session = try SessionFileMetadata.value(
                ExportedSession.self, SessionFileMetadata.session, in: header.metadata)
            engine = try SessionFileMetadata.value(
                StoredScalars.Engine.self, SessionFileMetadata.engine, in: header.metadata)
            do throws(UnreadableSnapshot) {
                try session.scalars.validate()
            } catch {
                throw error.within(SessionFileMetadata.session)
            }
            do throws(UnreadableSnapshot) {
                try engine.validate(as: session.dtype)
            } catch {
                throw error.within(SessionFileMetadata.engine)
            }
            count = session.layout.count
            byteCount = header.byteCount
            expected = [:]
        } catch {
            throw error.asSessionError
        }
        try session.check(limits)
        let names = Set(header.entries.map(\.name))
        try engine.check(session, BoundsFootprint(vectorsNamed: names), limits)
        guard byteCount <= limits.sessionBytesMax else {
            throw .invalid([
                FieldError(
                    field: "body",
                    reason: "has tensors of \(byteCount) bytes; the limit is "
                        + "\(limits.sessionBytesMax)")
            ])
        }
        do throws(UnreadableSnapshot) {
            try expect(header.entries, limits)
        } catch {
            throw error.asSessionError
        }
    }

    private static func checkFormat(_ metadata: [String: String]) throws(UnreadableSnapshot) {
        let expected = [
            (SessionFileMetadata.format, SessionFileMetadata.formatName),
            (SessionFileMetadata.version, SessionFileMetadata.currentVersion),
        ]
        for (key, value) in expected {
            try require(
                metadata[key] == value, "__metadata__.\(key)",
                "must be \(value), not \(metadata[key].map { String($0.prefix(40)) } ?? "absent")")
        }
        let known = [
            SessionFileMetadata.format, SessionFileMetadata.version, SessionFileMetadata.session,
            SessionFileMetadata.engine,
        ]
        for key in metadata.keys.sorted() {
            try require(known.contains(key), "__metadata__.\(key.prefix(40))", "is not known")
        }
    }
}

// MARK: - The table of tensors

extension SessionImport {
    /// Checks that the tensors are those of a session: names, types and lengths.
    private mutating func expect(
        _ entries: [SessionFile.Entry], _ limits: Limits
    ) throws(UnreadableSnapshot) {
        guard entries.last == SessionFile.digest else {
            throw UnreadableSnapshot(
                field: SessionFile.digest.name, reason: "must be the last tensor, of 32 U8")
        }
        for entry in entries {
            let content = try content(of: entry)
            try check(entry, as: content, limits)
            try require(
                expected.updateValue(content, forKey: entry.name) == nil, entry.name, "comes twice")
        }
        for (name, content) in expected {
            switch content {
            case .stepProducts(let number), .changeProducts(let number):
                try require(pairs[number] != nil, name, "belongs to a pair that is not there")
            case .vector, .trialPoint, .step, .change, .shard, .digest: break
            }
        }
        for number in pairs.keys.sorted() {
            for prefix in [
                SessionFileTensor.step, SessionFileTensor.change, SessionFileTensor.stepProducts,
                SessionFileTensor.changeProducts,
            ] where expected["\(prefix)\(number)"] == nil {
                throw UnreadableSnapshot(field: "\(prefix)\(number)", reason: "is missing")
            }
        }
        try require(
            pairs.count <= limits.historySizeMax, "s/",
            "are \(pairs.count) pairs; the limit is \(limits.historySizeMax)")
        for (shard, told) in session.shards {
            let name = SessionFileTensor.shard + shard
            try require(
                (told.loss == nil) == (expected[name] == nil), name,
                "must be there if the shard has a loss, and only then")
        }
    }

    private func content(of entry: SessionFile.Entry) throws(UnreadableSnapshot) -> Content {
        func number(_ prefix: String) -> Int? {
            guard entry.name.hasPrefix(prefix) else { return nil }
            let text = entry.name.dropFirst(prefix.count)
            return Int(text).flatMap { "\($0)" == text && $0 >= 0 ? $0 : nil }
        }
        switch entry.name {
        case "x", "g", "d", "previous_g", "best", "best_g": return .vector
        case "lower", "upper", "l1", "base_face": return .vector
        case SessionFileTensor.trialPoint: return .trialPoint
        case SessionFile.digest.name: return .digest
        default: break
        }
        if number("trial/") != nil { return .vector }
        if let pair = number(SessionFileTensor.step) { return .step(pair) }
        if let pair = number(SessionFileTensor.change) { return .change(pair) }
        if let pair = number(SessionFileTensor.stepProducts) { return .stepProducts(pair) }
        if let pair = number(SessionFileTensor.changeProducts) { return .changeProducts(pair) }
        if let shard = number(SessionFileTensor.shard), session.shards["\(shard)"] != nil {
            return .shard(shard)
        }
        throw UnreadableSnapshot(
            field: String(entry.name.prefix(100)), reason: "is no tensor of a session file")
    }

    private mutating func check(
        _ entry: SessionFile.Entry, as content: Content, _ limits: Limits
    ) throws(UnreadableSnapshot) {
        func requireType(_ number: SessionFile.Number) throws(UnreadableSnapshot) {
            try require(
                entry.number == number, "\(entry.name).dtype",
                "must be \(number.rawValue), not \(entry.number.rawValue)")
        }
        func requireCount(_ range: ClosedRange<Int>) throws(UnreadableSnapshot) {
            try require(
                range.contains(entry.count), "\(entry.name).shape",
                range.lowerBound == range.upperBound
                    ? "must be [\(range.lowerBound)], not [\(entry.count)]"
                    : "must have \(range.lowerBound) to \(range.upperBound) numbers, not "
                        + "\(entry.count)")
        }
        switch content {
        case .vector, .trialPoint:
            try requireType(SessionFile.Number(session.dtype))
            try requireCount(count...count)
        case .shard:
            try requireType(.float64)
            try requireCount(count...count)
        case .step(let number), .change(let number):
            guard let dtype = entry.number.historyDType else { return try requireType(.float64) }
            try require(
                1...storedPairNumberMax ~= number, entry.name,
                "must have a number from 1 to \(storedPairNumberMax)")
            if let other = pairs[number] { try requireType(SessionFile.Number(other.dtype)) }
            pairs[number] = ImportedPair(dtype: dtype)
            try requireCount(count...count)
        case .stepProducts(let number), .changeProducts(let number):
            try requireType(.float64)
            try requireCount(1...limits.historySizeMax + 1)
            // Its vectors may come later in the file.
            try require(
                1...storedPairNumberMax ~= number, entry.name,
                "must have a number from 1 to \(storedPairNumberMax)")
        case .digest:
            try require(
                entry == SessionFile.digest, SessionFile.digest.name,
                "must be the last tensor, of 32 U8")
        }
    }
}

// MARK: - Numbers

extension SessionImport {
    /// Takes the bytes of a tensor, of which the header has told the length.
    public mutating func take(_ name: String, _ bytes: [UInt8]) {
        guard let content = expected.removeValue(forKey: name) else {
            preconditionFailure("\(name) was taken before")
        }
        switch content {
        case .vector: vectors[name] = vector(bytes)
        case .trialPoint: trialPoint = vector(bytes)
        case .shard(let shard): shards[shard] = values(fromLittleEndianBytes: bytes)
        case .step(let number): pairs[number]?.s = bytes
        case .change(let number): pairs[number]?.y = bytes
        case .stepProducts(let number): pairs[number]?.sy = values(fromLittleEndianBytes: bytes)
        case .changeProducts(let number): pairs[number]?.yy = values(fromLittleEndianBytes: bytes)
        case .digest: break
        }
    }

    private func vector(_ bytes: [UInt8]) -> Vector {
        guard let vector = Vector(bytes: bytes, as: session.dtype) else {
            preconditionFailure("\(bytes.count) bytes of \(session.dtype) numbers")
        }
        return vector
    }

    /// The state, when all tensors were taken. O(n) for the trial point, and for copying a pair at
    /// a time.
    /// - Throws: `invalid` with what is wrong.
    mutating func state(_ background: BackgroundWork) throws(SessionError) -> SessionState {
        do throws(UnreadableSnapshot) {
            let optimizer: any SessionEngine =
                switch engine {
                case .float64(let scalars): try optimizer(scalars)
                case .float32(let scalars): try optimizer(scalars)
                }
            var table = ShardTable(count: session.stepShardCount)
            for (text, told) in session.shards {
                guard let shard = Int(text), "\(shard)" == text else {
                    throw UnreadableSnapshot(
                        field: "__metadata__.session.shards.\(text.prefix(40))",
                        reason: "is no number of a shard")
                }
                table[shard] =
                    told.loss.map { .evaluated(loss: $0, gradient: shards[shard] ?? []) }
                    ?? .failed(reason: told.failed ?? "")
            }
            let state = SessionState(
                dtype: session.dtype, scalars: session.scalars, engine: optimizer, shards: table,
                hookedDict: nil, storedPairs: [:], storedBounds: [:], background: background)
            do throws(UnreadableSnapshot) {
                try state.validate()
            } catch {
                throw error.within(SessionFileMetadata.session)
            }
            try checkTrialPoint(of: state)
            return state
        } catch {
            throw error.asSessionError
        }
    }

    private mutating func optimizer<Scalar: VectorScalar>(
        _ scalars: OptimizerSnapshot<Scalar>.Scalars
    ) throws(UnreadableSnapshot) -> any SessionEngine {
        var own: [String: [Scalar]] = [:]
        for (name, vector) in vectors { own[name] = Scalar.values(of: vector) }
        vectors = [:]
        var history: [CurvaturePair<Scalar>] = []
        for number in pairs.keys.sorted() {
            guard let pair = pairs.removeValue(forKey: number) else { continue }
            try require(
                pair.sy.count == pair.yy.count,
                "\(SessionFileTensor.changeProducts)\(number).shape",
                "must be [\(pair.sy.count)], not [\(pair.yy.count)]")
            history.append(
                CurvaturePair(
                    number: number, dtype: pair.dtype, littleEndianOctets: (pair.s + pair.y)[...],
                    sy: pair.sy, yy: pair.yy))
        }
        let names = Set(own.keys)
        do throws(SnapshotError) {
            return try Optimizer(
                OptimizerSnapshot(scalars: scalars, vectors: own, pairs: history))
        } catch {
            if case .invalid(let field, _) = error, !names.contains(field),
                !field.hasPrefix("pair/")
            {
                throw UnreadableSnapshot(field: field, reason: error.reason)
                    .within(SessionFileMetadata.engine)
            }
            throw UnreadableSnapshot(field: error.field, reason: error.reason)
        }
    }

    /// The point that the session waits for an evaluation of must be the one that it asked for
    /// where it was exported, bit for bit.
    private func checkTrialPoint(of state: SessionState) throws(UnreadableSnapshot) {
        let name = SessionFileTensor.trialPoint
        guard state.engine.isStepping else {
            return try require(trialPoint == nil, name, "must not be there: no step runs")
        }
        guard let trialPoint else { throw UnreadableSnapshot(field: name, reason: "is missing") }
        try require(
            trialPoint.bytes == state.engine.trialVector.bytes, name,
            "is not the point that follows from the rest of the file")
    }
}

extension UnreadableSnapshot {
    /// The error of a field of this member of the metadata.
    fileprivate func within(_ key: String) -> UnreadableSnapshot {
        UnreadableSnapshot(
            field: "__metadata__.\(key)" + (field.isEmpty ? "" : ".\(field)"), reason: reason)
    }

    fileprivate var asSessionError: SessionError {
        .invalid([FieldError(field: field.isEmpty ? "body" : field, reason: reason)])
    }
}
