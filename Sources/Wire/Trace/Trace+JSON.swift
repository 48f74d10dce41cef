public import SessionModel

extension [TracePoint] {
    /// `{"session", "trace": [..], "next"}`; `next` is where to read on, nil at the end.
    public func json(session: SessionID, next: EvaluationNumber?) -> [UInt8] {
        JSONText.object { text in
            text.field("session", session.rawValue)
            text.field("trace", array: self) { text, point in text.object { $0.write(point) } }
            text.field("next", next)
        }
    }

    /// One point a line.
    public var ndjson: [UInt8] {
        flatMap { $0.json + [UInt8(ascii: "\n")] }
    }
}

extension TracePoint {
    var json: [UInt8] { JSONText.object { $0.write(self) } }
}

extension JSONText {
    mutating func write(_ point: TracePoint) {
        field("evaluation", point.evaluation)
        field("step", point.step)
        field("iteration", point.iteration)
        field("loss", point.loss)
        field("gradient_norm_inf", point.gradientNormInf)
        field("step_length", point.stepLength)
        field("time", point.time)
    }
}
