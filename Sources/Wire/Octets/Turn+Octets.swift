public import SessionModel

// Vectors as they are in memory: little-endian numbers of the session's dtype, flat in parameter
// order. What JSON says besides goes beside them, as text by name.

extension Turn {
    /// What a turn says besides its vector, named as fields of a message's header are.
    public var octetFields: [(name: String, value: String)] {
        var fields = [
            ("Lbfgsd-Session", session.rawValue), ("Lbfgsd-State", phase.rawValue),
            ("Lbfgsd-Step", String(step)), ("Lbfgsd-Dtype", x.dtype.rawValue),
            ("Lbfgsd-Count", String(x.count)),
        ]
        if let evaluation, phase == .evaluating {
            fields.append(("Lbfgsd-Evaluation", String(evaluation)))
            if let iterations { fields.append(("Lbfgsd-Iterations", String(iterations))) }
            if let loss {
                fields.append(("Lbfgsd-Loss", NonFinite.text(of: loss) ?? "\(loss)"))
            }
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
            ("Lbfgsd-Projected-Gradient-Norm-Inf", projectedGradientNormInf),
        ] {
            if let number { fields.append((name, NonFinite.text(of: number) ?? "\(number)")) }
        }
        if let activeBounds { fields.append(("Lbfgsd-Active-Bounds", String(activeBounds))) }
        return fields
    }
}

extension TellRequest {
    /// A gradient in a binary form. Those have no field for the loss, which comes as text.
    public init(gradient: VectorInput, loss text: String?) throws(WireError) {
        self = .evaluated(loss: try Self.loss(text), gradient: gradient)
    }

    public static func loss(_ text: String?) throws(WireError) -> Double {
        guard let text else {
            throw .invalid("query.loss", "is required: a vector's form has no place for it")
        }
        guard let loss = NonFinite.value(of: text) ?? Self.number(text) else {
            throw .invalid("query.loss", "must be a number, NaN, Infinity or -Infinity")
        }
        return loss
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
    public var octetFields: [(name: String, value: String)] {
        [("Lbfgsd-Dtype", values.dtype.rawValue), ("Lbfgsd-Count", String(values.count))]
            + (projected.map { [("Lbfgsd-Projected", String($0))] } ?? [])
    }
}
