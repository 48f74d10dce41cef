internal import Foundation
internal import LBFGS

/// What a session file says of the session, beside the engine's scalars and the vectors. Hooks,
/// leases, the tenant and the expiry are not in it: they belong to the daemon that the session was
/// in.
struct ExportedSession: Codable {
    /// A shard of the pending evaluation that was told; its gradient is a tensor.
    struct Shard: Codable {
        var loss: Double?
        /// The reason of one that failed.
        var failed: String?
    }

    var dtype: DType
    var name: String?
    var labels: [String: String]
    var step: StepNumber
    var stepsBegun: StepNumber
    var evaluationsAsked: EvaluationNumber
    var stepStartedAt: Date
    var stepFirstEvaluation: EvaluationNumber
    var lastResult: StepResult?
    var layout: Layout
    var isMaximizing: Bool
    var shardCount: Int?
    var stepShardCount: Int?
    var best: BestEvaluation?
    /// By number, in decimal.
    var shards: [String: Shard]

    /// - Precondition: No hook is called.
    init(_ state: SessionState, name: String?, labels: [String: String]) {
        let scalars = state.scalars
        precondition(!scalars.hooks.isCalling, "a session that waits for a hook is exported")
        dtype = state.dtype
        self.name = name
        self.labels = labels
        step = scalars.step
        stepsBegun = scalars.stepsBegun
        evaluationsAsked = scalars.evaluationsAsked
        stepStartedAt = scalars.stepStartedAt
        stepFirstEvaluation = scalars.stepFirstEvaluation
        lastResult = scalars.lastResult
        layout = scalars.layout
        isMaximizing = scalars.isMaximizing
        shardCount = scalars.shardCount
        stepShardCount = scalars.stepShardCount
        best = scalars.best
        shards = [:]
        for (number, result) in state.shards.delivered {
            switch result {
            case .evaluated(let loss, _): shards["\(number)"] = Shard(loss: loss)
            case .failed(let reason): shards["\(number)"] = Shard(failed: reason)
            }
        }
    }

    /// The session's scalars, before its first entry.
    var scalars: SessionState.Scalars {
        var scalars = SessionState.Scalars(layout: layout)
        scalars.step = step
        scalars.stepsBegun = stepsBegun
        scalars.evaluationsAsked = evaluationsAsked
        scalars.stepStartedAt = stepStartedAt
        scalars.stepFirstEvaluation = stepFirstEvaluation
        scalars.lastResult = lastResult
        scalars.isMaximizing = isMaximizing
        scalars.shardCount = shardCount
        scalars.stepShardCount = stepShardCount
        scalars.best = best
        return scalars
    }
}

/// The keys of `__metadata__`, and how their values are written.
enum SessionFileMetadata {
    static let format = "format"
    static let formatName = "lbfgsd-session"
    static let version = "version"
    static let currentVersion = "1"
    static let session = "session"
    static let engine = "engine"

    /// JSON with sorted keys, so that the same state is the same bytes. Numbers keep every bit.
    static func text(_ value: some Encodable) -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        encoder.dateEncodingStrategy = .secondsSince1970
        encoder.nonConformingFloatEncodingStrategy = .convertToString(
            positiveInfinity: "Infinity", negativeInfinity: "-Infinity", nan: "NaN")
        do {
            return String(decoding: try encoder.encode(value), as: UTF8.self)
        } catch {
            preconditionFailure("plain scalars can be encoded: \(error)")
        }
    }

    /// Reads a value of the metadata. Throws the field that is wrong.
    static func value<Value: Decodable>(
        _ type: Value.Type, _ key: String, in metadata: [String: String]
    ) throws(UnreadableSnapshot) -> Value {
        let field = "__metadata__.\(key)"
        guard let text = metadata[key] else {
            throw UnreadableSnapshot(field: field, reason: "is required")
        }
        let decoder = JSONDecoder()
        decoder.dateDecodingStrategy = .secondsSince1970
        decoder.nonConformingFloatDecodingStrategy = .convertFromString(
            positiveInfinity: "Infinity", negativeInfinity: "-Infinity", nan: "NaN")
        do {
            return try decoder.decode(Value.self, from: Data(text.utf8))
        } catch {
            throw UnreadableSnapshot(error, in: field)
        }
    }
}

extension UnreadableSnapshot {
    fileprivate init(_ error: any Error, in field: String) {
        let (context, reason): (DecodingError.Context?, String) =
            switch error as? DecodingError {
            case .typeMismatch(_, let context)?: (context, "has another type")
            case .valueNotFound(_, let context)?: (context, "must not be null")
            case .keyNotFound(let key, let context)?: (context, "has no \(key.stringValue)")
            case .dataCorrupted(let context)?: (context, "can't be read")
            case nil, .some: (nil, "can't be read")
            }
        let path = (context?.codingPath ?? []).reduce(field) { path, key in
            key.intValue.map { "\(path)[\($0)]" } ?? "\(path).\(key.stringValue)"
        }
        self.init(field: path, reason: reason)
    }
}
