internal import LBFGS

// An imported session is within the limits that hold for one that is created and changed here.

/// The largest number of a step or an evaluation, and counter of the engine: beyond it, a client's
/// path has no room for some that follow.
private let numberMax = 100_000_000_000_000

extension ExportedSession {
    func check(_ limits: Limits) throws(SessionError) {
        var errors: [FieldError] = []
        func wrong(_ field: String, _ reason: String) {
            errors.append(FieldError(field: "__metadata__.session.\(field)", reason: reason))
        }
        func checkName(_ name: String, _ field: String) {
            if !PrintableText.isValid(name, lengthMax: limits.nameLengthMax) {
                wrong(field, PrintableText.requirement(lengthMax: limits.nameLengthMax))
            }
        }
        try limits.checkMetadata(name: name, labels: labels)
        for (field, count, maximum) in [
            ("layout.parameters", layout.parameters.count, limits.tensorsMax),
            ("layout.groups", layout.groups.count, limits.groupsMax),
            ("layout", layout.count, limits.parametersMax),
            ("shardCount", shardCount ?? 1, limits.shardsMax),
            ("stepShardCount", stepShardCount ?? 1, limits.shardsMax),
            ("stepsBegun", stepsBegun, numberMax),
            ("evaluationsAsked", evaluationsAsked, numberMax),
        ] where count > maximum {
            wrong(field, "has \(count); the limit is \(maximum)")
        }
        guard errors.isEmpty else { throw .invalid(errors) }
        for (index, spec) in layout.parameters.enumerated() {
            let field = "layout.parameters[\(index)]"
            if spec.shape.count > limits.rankMax {
                wrong("\(field).shape", "has \(spec.shape.count) dimensions")
            }
            guard let name = spec.name else { continue }
            checkName(name, "\(field).name")
            if name == ParameterSpec.reservedName {
                wrong("\(field).name", ParameterSpec.isReserved)
            }
        }
        for (index, group) in layout.groups.enumerated() {
            if let name = group.name { checkName(name, "layout.groups[\(index)].name") }
        }
        for (shard, told) in shards.sorted(by: { $0.key < $1.key }) {
            let count = told.failed?.unicodeScalars.count ?? 0
            if (told.loss == nil) == (told.failed == nil) {
                wrong("shards.\(shard.prefix(40))", "must have a loss or a reason, and not both")
            } else if count > limits.reasonLengthMax {
                wrong(
                    "shards.\(shard.prefix(40)).failed",
                    "must have at most \(limits.reasonLengthMax) characters")
            }
        }
        guard errors.isEmpty else { throw .invalid(errors) }
    }
}

extension StoredScalars.Engine {
    /// Checks what can be checked without the vectors.
    func validate(as dtype: DType) throws(UnreadableSnapshot) {
        do throws(SnapshotError) {
            switch (self, dtype) {
            case (.float64(let scalars), .float64): try scalars.validate()
            case (.float32(let scalars), .float32): try scalars.validate()
            case (.float64, .float32), (.float32, .float64):
                throw .invalid(field: "", reason: "has another precision than the session")
            }
        } catch {
            throw UnreadableSnapshot(field: error.field, reason: error.reason)
        }
    }

    /// - Parameter bounds: The vectors of bounds that the file has.
    /// - Precondition: It was validated.
    func check(
        _ session: ExportedSession, _ bounds: BoundsFootprint, _ limits: Limits
    ) throws(SessionError) {
        let (options, alphaCount, largestCount) =
            switch self {
            case .float64(let scalars):
                (scalars.optionsInUse, scalars.alphaCount, scalars.largestCount)
            case .float32(let scalars):
                (scalars.optionsInUse, scalars.alphaCount, scalars.largestCount)
            }
        guard largestCount <= numberMax else {
            throw .invalid([
                FieldError(
                    field: "__metadata__.engine",
                    reason: "has counted to \(largestCount); the limit is \(numberMax)")
            ])
        }
        for options in options {
            try limits.checkHistoryFitsMemory(
                count: session.layout.count, dtype: session.dtype, options: options,
                shardCount: [session.shardCount, session.stepShardCount].compactMap(\.self).max(),
                bounds: bounds)
        }
        guard alphaCount <= limits.historySizeMax else {
            throw .invalid([
                FieldError(
                    field: "__metadata__.engine.alphas",
                    reason: "has \(alphaCount) numbers; the limit is \(limits.historySizeMax)")
            ])
        }
    }
}
