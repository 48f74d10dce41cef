public import Sessions

// Vectors as they are in memory: little-endian numbers of the session's dtype, flat in parameter
// order, and nothing else. What JSON says besides goes beside them, as text by name.

extension Turn {
    /// The rest of the turn, named as fields of a message's header are.
    public var octetFields: [(name: String, value: String)] {
        var fields = [
            ("Lbfgsd-Session", session.rawValue), ("Lbfgsd-State", phase.rawValue),
            ("Lbfgsd-Step", String(step)), ("Lbfgsd-Dtype", x.dtype.rawValue),
            ("Lbfgsd-Count", String(x.count)),
        ]
        if let evaluation, phase == .evaluating {
            fields.append(("Lbfgsd-Evaluation", String(evaluation)))
        }
        if let shards, phase == .evaluating {
            fields.append(("Lbfgsd-Shards", String(shards.count)))
            let delivered = shards.delivered.map(String.init).joined(separator: ",")
            fields.append(("Lbfgsd-Shards-Delivered", delivered))
        }
        if let hookCall { fields.append(("Lbfgsd-Hook-Call", String(hookCall.number))) }
        if let result, phase == .idle { fields += result.octetFields }
        return fields
    }
}

extension StepResult {
    fileprivate var octetFields: [(name: String, value: String)] {
        var fields = [
            ("Lbfgsd-Reason", reason.rawValue), ("Lbfgsd-Converged", String(converged)),
            ("Lbfgsd-Iterations", String(iterations)), ("Lbfgsd-Evaluations", String(evaluations)),
        ]
        for (name, number) in [
            ("Lbfgsd-Loss-Before", lossBefore), ("Lbfgsd-Loss", loss),
            ("Lbfgsd-Gradient-Norm-Inf", gradientNormInf),
        ] {
            if let number { fields.append((name, NonFinite.text(of: number) ?? "\(number)")) }
        }
        return fields
    }
}

extension TellRequest {
    /// The gradient in octets, with the loss as text.
    public init(octets: [UInt8], loss text: String?) throws(WireError) {
        self = .evaluated(loss: try Self.loss(text), gradient: .octets(octets))
    }

    /// The same, with the gradient where it is already.
    public init(vector: Vector, loss text: String?) throws(WireError) {
        self = .evaluated(loss: try Self.loss(text), gradient: .vector(vector))
    }

    private static func loss(_ text: String?) throws(WireError) -> Double {
        guard let text else {
            throw .invalid("query.loss", "is required: octets have no place for it")
        }
        guard let loss = NonFinite.value(of: text) ?? number(text) else {
            throw .invalid("query.loss", "must be a number, NaN, Infinity or -Infinity")
        }
        return loss
    }

    /// As JSON writes a number: no hexadecimal, no blanks, nothing that overflows.
    private static func number(_ text: String) -> Double? {
        let allowed = Set("0123456789+-.eE".utf8)
        guard text.utf8.allSatisfy(allowed.contains), let number = Double(text), number.isFinite
        else { return nil }
        return number
    }
}

extension ParametersView {
    public var octetFields: [(name: String, value: String)] {
        [("Lbfgsd-Dtype", values.dtype.rawValue), ("Lbfgsd-Count", String(values.count))]
    }
}
