public import Sessions

// Vectors as they are in memory: little-endian numbers of the session's dtype, flat in parameter
// order, and nothing else. What JSON says besides goes beside them, as text by name.

extension Turn {
    /// The trial point, or the parameters while none is asked for.
    public var octets: [UInt8] { x.bytes }

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
        guard let text else {
            throw .invalid("query.loss", "is required: octets have no place for it")
        }
        guard let loss = NonFinite.value(of: text) ?? Self.number(text) else {
            throw .invalid("query.loss", "must be a number, NaN, Infinity or -Infinity")
        }
        self = .evaluated(loss: loss, gradient: .octets(octets))
    }

    /// As JSON writes a number: no hexadecimal, no blanks, nothing that overflows.
    private static func number(_ text: String) -> Double? {
        let isPlain = text.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "+"), UInt8(ascii: "-"),
                UInt8(ascii: "."), UInt8(ascii: "e"), UInt8(ascii: "E"):
                true
            default: false
            }
        }
        guard isPlain, let number = Double(text), number.isFinite
        else { return nil }
        return number
    }
}

extension ParametersView {
    public var octets: [UInt8] { values.bytes }
    public var octetFields: [(name: String, value: String)] {
        [("Lbfgsd-Dtype", values.dtype.rawValue), ("Lbfgsd-Count", String(values.count))]
    }
}
