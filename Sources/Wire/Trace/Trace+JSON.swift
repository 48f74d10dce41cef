public import SessionModel

extension [TracePoint] {
    /// `{"session", "trace": [..], "next"}`; `next` is where to read on, nil at the end.
    public func json(session: SessionID, next: EvaluationNumber?) -> [UInt8] {
        JSONText.object { text in
            text.field("session", session.rawValue)
            text.field("trace", array: self) { text, point in
                text.object { $0.writeWithSearch(point) }
            }
            text.field("next", next)
        }
    }

    /// The same of a trace that was decimated, with `{"decimated": {"entries", "by", "failures"}}`.
    public func json(
        session: SessionID, entries: Int,
        failures: [(first: EvaluationNumber, last: EvaluationNumber, count: Int)]
    ) -> [UInt8] {
        JSONText.object { text in
            text.field("session", session.rawValue)
            text.field("trace", array: self) { text, point in
                text.object { $0.writeWithSearch(point) }
            }
            text.fieldNull("next")
            text.field("decimated") { text in
                text.field("entries", entries)
                text.field("by", "min_max")
                text.field("failures", array: failures) { text, range in
                    text.object { text in
                        text.field("from", range.first)
                        text.field("to", range.last)
                        text.field("count", range.count)
                    }
                }
            }
        }
    }

    /// One point a line.
    public var ndjson: [UInt8] {
        flatMap { $0.json + [UInt8(ascii: "\n")] }
    }
}

extension TracePoint {
    var json: [UInt8] { JSONText.object { $0.writeWithSearch(self) } }
}

extension JSONText {
    mutating func writeWithSearch(_ point: TracePoint) {
        write(point)
        let search = point.search
        field("slope", search?.slope)
        field("start_loss", search?.startLoss)
        field("start_slope", search?.startSlope)
        field("accepted_step_length", search?.acceptedStepLength)
        let isAccepted =
            point.isAccepted ?? search?.acceptedStepLength.map { $0 == point.stepLength }
        if let isAccepted { field("accepted", isAccepted) } else { fieldNull("accepted") }
    }

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
