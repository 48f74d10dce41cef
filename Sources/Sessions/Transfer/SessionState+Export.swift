internal import LBFGS

/// The names of a session file's tensors, beside those of the engine's vectors.
enum SessionFileTensor {
    static let trialPoint = "trial_point"
    static let shard = "shard/"
    /// s, y and their columns of the small matrices, each with the pair's number.
    static let step = "s/"
    static let change = "y/"
    static let stepProducts = "sy/"
    static let changeProducts = "yy/"
}

/// A curvature pair in parts.
struct ExportedPair {
    var number: Int
    var dtype: HistoryDType
    /// s, then y.
    var octets: ArraySlice<UInt8>
    var sy: [Double]
    var yy: [Double]
}

extension SessionState {
    /// The state as a file. O(m): the file shares the vectors' memory until the session changes
    /// them.
    /// - Precondition: No hook is called.
    func exported(name: String?, labels: [String: String]) -> SessionFile {
        let engine = engine.stored()
        var tensors: [(entry: SessionFile.Entry, octets: Octets)] = []
        func add(_ name: String, _ number: SessionFile.Number, _ octets: Octets) {
            let count = octets.count / number.size
            tensors.append((SessionFile.Entry(name: name, number: number, count: count), octets))
        }
        let number = SessionFile.Number(dtype)
        for (name, octets) in engine.vectors.sorted(by: { $0.key < $1.key }) {
            add(name, number, octets)
        }
        if self.engine.isStepping {
            add(SessionFileTensor.trialPoint, number, .vector(self.engine.trialVector))
        }
        for pair in self.engine.exportedPairs {
            let middle = pair.octets.startIndex + pair.octets.count / 2
            let number = SessionFile.Number(pair.dtype)
            add("\(SessionFileTensor.step)\(pair.number)", number, .bytes(pair.octets[..<middle]))
            add("\(SessionFileTensor.change)\(pair.number)", number, .bytes(pair.octets[middle...]))
            add(
                "\(SessionFileTensor.stepProducts)\(pair.number)", .float64,
                .vector(.float64(pair.sy)))
            add(
                "\(SessionFileTensor.changeProducts)\(pair.number)", .float64,
                .vector(.float64(pair.yy)))
        }
        for (shard, result) in shards.delivered.sorted(by: { $0.key < $1.key }) {
            guard case .evaluated(_, let gradient) = result else { continue }
            add("\(SessionFileTensor.shard)\(shard)", .float64, .vector(.float64(gradient)))
        }
        // Wider numbers first, so that every tensor is aligned to its numbers' size.
        let aligned = SessionFile.Number.allCases.flatMap { number in
            tensors.filter { $0.entry.number == number }
        }
        return SessionFile(
            metadata: [
                SessionFileMetadata.format: SessionFileMetadata.formatName,
                SessionFileMetadata.version: SessionFileMetadata.currentVersion,
                SessionFileMetadata.session: SessionFileMetadata.text(
                    ExportedSession(self, name: name, labels: labels)),
                SessionFileMetadata.engine: SessionFileMetadata.text(engine.scalars),
            ], tensors: aligned)
    }
}

extension SessionFile.Number {
    init(_ dtype: DType) {
        switch dtype {
        case .float64: self = .float64
        case .float32: self = .float32
        }
    }

    init(_ dtype: HistoryDType) {
        switch dtype {
        case .float64: self = .float64
        case .float32: self = .float32
        case .bfloat16: self = .bfloat16
        }
    }

    /// The precision of a pair's numbers; nil for octets.
    var historyDType: HistoryDType? {
        switch self {
        case .float64: .float64
        case .float32: .float32
        case .bfloat16: .bfloat16
        case .octet: nil
        }
    }
}
