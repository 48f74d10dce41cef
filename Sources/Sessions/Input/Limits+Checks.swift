// What a request may ask for, checked against the limits before anything changes.

extension Limits {
    /// - Parameter shards: nil if the evaluation is told as a whole.
    func checkShardCount(_ shards: Int?) throws(SessionError) {
        guard let shards, !(1...shardsMax).contains(shards) else { return }
        throw .invalid([
            FieldError(field: "shards", reason: "must be from 1 to \(shardsMax), not \(shards)")
        ])
    }

    func checkLease(worker: String, seconds: Double) throws(SessionError) {
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
        count: Int, dtype: DType, options: Options
    ) throws(SessionError) {
        let bytes = memoryEstimate(
            count: count, dtype: dtype, historySize: options.historySize,
            historyDType: options.historyDType)
        guard bytes > sessionBytesMax else { return }
        throw .invalid([
            FieldError(
                field: "options.history_size",
                reason: "\(options.historySize) pairs of \(count) "
                    + "\((options.historyDType ?? dtype.historyDType).rawValue) numbers can "
                    + "come to need \(bytes) bytes; the limit is \(sessionBytesMax)")
        ])
    }

    func checkMetadata(name: String?, labels: [String: String] = [:]) throws(SessionError) {
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
        if labels.count > labelsMax {
            errors.append(
                FieldError(field: "labels", reason: "has more than \(labelsMax) entries"))
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
            && !text.unicodeScalars.contains { $0.properties.generalCategory == .control }
    }

    static func requirement(lengthMax: Int) -> String {
        "must have 1 to \(lengthMax) characters, none of them a control character"
    }
}
