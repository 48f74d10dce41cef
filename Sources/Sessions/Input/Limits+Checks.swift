// What a request may ask for, checked against the limits before anything changes.

extension Limits {
    /// - Parameter shards: nil if the evaluation is told as a whole.
    func checkShardCount(_ shards: Int?) throws(SessionError) {
        guard let shards, !(1...shardsMax).contains(shards) else { return }
        throw .invalid([
            FieldError(field: "shards", reason: "must be from 1 to \(shardsMax), not \(shards)")
        ])
    }

    package func checkLease(worker: String, seconds: Double) throws(SessionError) {
        var errors: [FieldError] = []
        if !PrintableText.isValid(worker, lengthMax: nameLengthMax) {
            errors.append(
                FieldError(
                    field: "worker", reason: PrintableText.requirement(lengthMax: nameLengthMax)))
        }
        if !(seconds > 0 && seconds <= leaseSecondsMax) {
            errors.append(
                FieldError(
                    field: "seconds",
                    reason: "must be above 0 and at most \(Int(leaseSecondsMax))"))
        }
        guard errors.isEmpty else { throw .invalid(errors) }
    }

    func checkHistoryFitsMemory(
        count: Int, dtype: DType, options: Options, shardCount: Int? = nil,
        bounds: BoundsFootprint
    ) throws(SessionError) {
        guard options.historySize <= historySizeMax else {
            throw .invalid([
                FieldError(
                    field: "options.history_size",
                    reason: "must be at most \(historySizeMax), not \(options.historySize)")
            ])
        }
        func bytes(_ shardCount: Int?) -> Int {
            memoryEstimate(
                count: count, dtype: dtype, historySize: options.historySize,
                historyDType: options.historyDType, shardCount: shardCount, bounds: bounds)
        }
        guard bytes(shardCount) > sessionBytesMax else { return }
        let bytes = bytes(nil)
        guard bytes > sessionBytesMax else {
            throw .invalid([
                FieldError(
                    field: "shards",
                    reason: "\(shardCount ?? 0) shards of \(count) numbers take the session "
                        + "beyond the limit of \(sessionBytesMax) bytes")
            ])
        }
        let bounded = bounds.isEmpty ? "" : ", with bounds,"
        let pairs = options.historyDType ?? dtype.historyDType
        throw .invalid([
            FieldError(
                field: "options.history_size",
                reason: "\(options.historySize) pairs of \(count) \(pairs.rawValue) numbers"
                    + "\(bounded) can come to need \(bytes) bytes; the limit is \(sessionBytesMax)")
        ])
    }

    /// The seconds without a change after which a session is deleted, given what was asked for.
    package func expiresAfter(_ asked: Int??) throws(SessionError) -> Int? {
        let most = expiresAfterMax > 0 ? expiresAfterMax : nil
        guard let asked else {
            let usual = expiresAfterDefault > 0 ? expiresAfterDefault : most
            return usual.map { min($0, most ?? $0) }
        }
        let bound = most ?? Limits.expiresAfterBound
        guard let asked, (1...bound).contains(asked) else {
            if asked == nil, most == nil { return nil }
            throw .invalid([
                FieldError(
                    field: "expires_after",
                    reason: "must be from 1 to \(bound) seconds"
                        + (most == nil ? ", or null for never" : ""))
            ])
        }
        return asked
    }

    func checkReason(_ request: TellRequest) throws(SessionError) {
        guard case .failed(let reason) = request,
            reason.unicodeScalars.count > reasonLengthMax
        else { return }
        throw .invalid([
            FieldError(
                field: "failed", reason: "must have at most \(reasonLengthMax) characters")
        ])
    }

    /// What no session accepts of a state dict, whatever its parameters are.
    func check(_ dict: StateDict) throws(SessionError) {
        var errors: [FieldError] = []
        let counts = [
            ("al", dict.state?.al?.count), ("old_dirs", dict.state?.oldDirs?.count),
            ("old_stps", dict.state?.oldStps?.count), ("ro", dict.state?.ro?.count),
        ]
        for case (let key, let count?) in counts where count > historySizeMax {
            errors.append(
                FieldError(
                    field: "state.0.\(key)",
                    reason: "has \(count) entries; the limit is \(historySizeMax)"))
        }
        if dict.groups.count > groupsMax {
            errors.append(
                FieldError(
                    field: "param_groups",
                    reason: "has \(dict.groups.count) groups; the limit is \(groupsMax)"))
            throw .invalid(errors)
        }
        for (index, group) in dict.groups.enumerated() {
            if let name = group.name, !PrintableText.isValid(name, lengthMax: nameLengthMax) {
                errors.append(
                    FieldError(
                        field: "param_groups[\(index)].name",
                        reason: PrintableText.requirement(lengthMax: nameLengthMax)))
            }
            let wrong = group.paramNames?.firstIndex {
                !PrintableText.isValid($0, lengthMax: nameLengthMax)
            }
            if let wrong {
                errors.append(
                    FieldError(
                        field: "param_groups[\(index)].param_names[\(wrong)]",
                        reason: PrintableText.requirement(lengthMax: nameLengthMax)))
            }
        }
        guard errors.isEmpty else { throw .invalid(errors) }
    }

    package func checkMetadata(name: String?, labels: [String: String] = [:]) throws(SessionError) {
        var errors: [FieldError] = []
        if let name, !PrintableText.isValid(name, lengthMax: nameLengthMax) {
            errors.append(
                FieldError(
                    field: "name", reason: PrintableText.requirement(lengthMax: nameLengthMax)))
        }
        errors += labelErrors(labels)
        guard errors.isEmpty else { throw .invalid(errors) }
    }

    private func labelErrors(_ labels: [String: String]) -> [FieldError] {
        var errors: [FieldError] = []
        guard labels.count <= labelsMax else {
            return [FieldError(field: "labels", reason: "has more than \(labelsMax) entries")]
        }
        for (key, value) in labels.sorted(by: { $0.key < $1.key }) {
            let isValidKey =
                !key.isEmpty && key.utf8.count <= labelLengthMax
                && key.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f && $0 != UInt8(ascii: ":") }
            if !isValidKey {
                errors.append(
                    FieldError(
                        field: "labels.\(key)",
                        reason: "a key has 1 to \(labelLengthMax) visible ASCII characters, "
                            + "none of them a colon"))
            }
            if !value.isEmpty && !PrintableText.isValid(value, lengthMax: labelLengthMax) {
                errors.append(
                    FieldError(
                        field: "labels.\(key)",
                        reason: PrintableText.requirement(lengthMax: labelLengthMax)))
            }
        }
        return errors
    }
}

/// Names and label values, which are written to logs, terminals and files unchanged.
enum PrintableText {
    static func isValid(_ text: String, lengthMax: Int) -> Bool {
        !text.isEmpty && text.unicodeScalars.count <= lengthMax
            && !text.unicodeScalars.contains {
                $0.properties.generalCategory == .control || isDirectional($0)
            }
    }

    /// Embeddings, overrides and isolates (U+202A to U+202E, U+2066 to U+2069): text that has one
    /// may be shown in another order than it is read in, and reorders what follows it in a log.
    private static func isDirectional(_ scalar: Unicode.Scalar) -> Bool {
        (0x202A...0x202E).contains(scalar.value) || (0x2066...0x2069).contains(scalar.value)
    }

    static func requirement(lengthMax: Int) -> String {
        "must have 1 to \(lengthMax) characters, none of them a control character or "
            + "a bidirectional override"
    }
}
