public import SessionModel

extension EnsembleView {
    public var json: [UInt8] {
        JSONText.object { text in
            text.write(record)
            text.field("members") { text in
                for state in MemberState.allCases {
                    text.field(state.rawValue, counts[state] ?? 0)
                }
            }
            text.field("leased", leaseCount)
            text.field("evaluations", evaluations)
            if let best {
                text.field("best") { text in
                    text.field("member", best.number)
                    text.field("session", best.session.rawValue)
                    text.field("state", best.state.rawValue)
                    text.field("loss", best.loss)
                    if let x = best.x { text.field("x", numbers: x) } else { text.fieldNull("x") }
                }
            } else {
                text.fieldNull("best")
            }
            text.field("starts") { $0.write(record.specification) }
            text.field("lower", bound: record.specification.box?.lower)
            text.field("upper", bound: record.specification.box?.upper)
            text.writeRules(record.specification)
            text.field("expires_after", record.specification.expiresAfter)
        }
    }
}

extension Page<EnsembleRecord> {
    /// `{"ensembles": [..], "next_page_token"}`. Items leave out what takes a look at the members.
    public var json: [UInt8] {
        JSONText.object { text in
            text.field("ensembles", array: items) { text, record in
                text.object { $0.write(record) }
            }
            text.field("next_page_token", next?.text)
        }
    }
}

extension [MemberView] {
    /// `{"ensemble", "members": [..]}`
    public func json(ensemble: EnsembleID) -> [UInt8] {
        JSONText.object { text in
            text.field("ensemble", ensemble.rawValue)
            text.field("members", array: self) { text, member in
                text.object { $0.write(member) }
            }
        }
    }
}

extension EnsembleTurn {
    public var json: [UInt8] { JSONText.object { $0.write(self) } }
}

extension EnsembleResults {
    /// The outcome of an item.
    public enum Answer: Sendable {
        case told(Turn, isReplay: Bool)
        case problem(ProblemDocument)
    }

    /// `{"results": [{"member", "session", "status", "state" | "problem"}, ...], ...}`, in the
    /// order of the items, and with what an ask is answered with.
    public static func json(
        answers: [(member: Int?, session: String, answer: Answer)], turn: EnsembleTurn
    ) -> [UInt8] {
        JSONText.object { text in
            text.field("results", array: answers) { text, item in
                text.object { text in
                    text.field("member", item.member)
                    text.field("session", item.session)
                    switch item.answer {
                    case .told(let turn, let isReplay):
                        text.field("status", 200)
                        if isReplay { text.field("replayed", true) }
                        text.field("state", turn.phase.rawValue)
                    case .problem(let problem):
                        text.field("status", problem.status)
                        text.field("problem") { $0.write(problem) }
                    }
                }
            }
            text.write(turn)
        }
    }
}

extension [MemberTracePoint] {
    /// `{"ensemble", "trace": [..], "next"}`; `next` is where to read on, nil at the end.
    public func json(
        ensemble: EnsembleID, next: (member: Int, evaluation: EvaluationNumber)?
    ) -> [UInt8] {
        JSONText.object { text in
            text.field("ensemble", ensemble.rawValue)
            text.field("trace", array: self) { text, point in
                text.object { $0.write(point) }
            }
            if let next {
                text.field("next") { text in
                    text.field("member", next.member)
                    text.field("evaluation", next.evaluation)
                }
            } else {
                text.fieldNull("next")
            }
        }
    }

    /// One point a line.
    public var ndjson: [UInt8] {
        flatMap { point in
            JSONText.object { $0.write(point) } + [UInt8(ascii: "\n")]
        }
    }

    /// As a session's, with two columns before.
    public var csv: [UInt8] {
        guard !isEmpty else { return [UInt8]("member,session,".utf8) + [TracePoint]().csv }
        var text: [UInt8] = []
        for (index, point) in enumerated() {
            let lines = String(decoding: [point.point].csv, as: UTF8.self)
                .split(separator: "\r\n", omittingEmptySubsequences: true)
            if index == 0 { text += [UInt8]("member,session,\(lines[0])\r\n".utf8) }
            text += [UInt8]("\(point.member),\(point.session),\(lines[1])\r\n".utf8)
        }
        return text
    }
}

/// A frame of an ensemble's event stream. None has an identifier: what a reader has missed is in
/// the trace.
extension EnsembleEvent {
    public func frame(of ensemble: EnsembleID) -> [UInt8] {
        switch self {
        case .heartbeat: Array(": \n\n".utf8)
        case .evaluation(let point):
            event("evaluation", JSONText.object { $0.write(point) })
        case .member(let member):
            event(
                "member",
                JSONText.object { text in
                    text.field("ensemble", ensemble.rawValue)
                    text.write(member)
                })
        case .finished(let outcome):
            event(
                "finished",
                JSONText.object { text in
                    text.field("ensemble", ensemble.rawValue)
                    text.field("reason", outcome.reason.rawValue)
                    text.field("finished_at", outcome.finishedAt)
                })
        }
    }

    private func event(_ name: String, _ data: [UInt8]) -> [UInt8] {
        Array("event: \(name)\ndata: ".utf8) + data + Array("\n\n".utf8)
    }
}

extension JSONText {
    fileprivate mutating func write(_ record: EnsembleRecord) {
        let specification = record.specification
        field("id", record.id.rawValue)
        field("name", specification.name)
        field("labels") { text in
            for (key, value) in specification.labels.sorted(by: { $0.key < $1.key }) {
                text.field(key, value)
            }
        }
        field("state", record.outcome == nil ? "running" : "finished")
        field("reason", record.outcome?.reason.rawValue)
        field("dtype", specification.dtype.rawValue)
        field("n", specification.parameterCount)
        field("params", array: specification.parameters) { text, spec in
            text.object { $0.write(spec) }
        }
        field("maximize", specification.isMaximizing)
        field("created_at", record.createdAt)
        field("finished_at", record.outcome?.finishedAt)
    }

    fileprivate mutating func write(_ specification: EnsembleSpecification) {
        switch specification.starts {
        case .given: field("method", "given")
        case .sobol(let seed, let skip):
            field("method", "sobol")
            field("seed", seed)
            field("scramble", seed != nil)
            field("skip", skip)
        case .latinHypercube(let seed):
            field("method", "latin_hypercube")
            field("seed", seed)
        case .uniform(let seed):
            field("method", "uniform")
            field("seed", seed)
        }
        field("count", specification.count)
    }

    /// One number if it is for all.
    fileprivate mutating func field(_ name: String, bound: [Double]?) {
        switch bound?.count {
        case nil: fieldNull(name)
        case 1: field(name, bound?.first)
        default: field(name, numbers: bound ?? [])
        }
    }

    fileprivate mutating func writeRules(_ specification: EnsembleSpecification) {
        field("stop") { text in
            text.field("target", specification.stop.target)
            text.field("evaluations", specification.stop.evaluations)
        }
        field("abandon") { text in
            if let rule = specification.stagnation {
                text.field("stagnation") { text in
                    text.field("evaluations", rule.evaluations)
                    text.field("tolerance", rule.tolerance)
                }
            } else {
                text.fieldNull("stagnation")
            }
            if let rule = specification.basin {
                text.field("same_basin") { text in
                    text.field("distance", rule.distance)
                    text.field("loss", rule.loss)
                }
            } else {
                text.fieldNull("same_basin")
            }
        }
    }

    fileprivate mutating func write(_ member: MemberView) {
        field("member", member.number)
        field("session", member.session.rawValue)
        field("state", member.state.rawValue)
        field("rank", member.rank)
        field("loss", member.loss)
        field("step", member.step)
        field("evaluations", member.evaluations)
        field("result", member.result)
        if let abandonment = member.abandonment {
            field("abandoned") { text in
                text.field("reason", abandonment.reason.rawValue)
                text.field("for", abandonment.other)
            }
        } else {
            fieldNull("abandoned")
        }
        field("worker", member.worker)
        field("lease_expires_at", member.leaseExpiresAt)
        if let x = member.x { field("x", numbers: x) }
    }

    fileprivate mutating func write(_ turn: EnsembleTurn) {
        field("ensemble", turn.ensemble.rawValue)
        field("state", turn.outcome == nil ? "running" : "finished")
        field("reason", turn.outcome?.reason.rawValue)
        field("evaluations", array: turn.offers) { text, offer in
            text.object { text in
                text.field("member", offer.member)
                text.field("session", offer.session.rawValue)
                text.field("number", offer.evaluation)
                text.field("x", numbers: offer.x)
                text.field("lease_expires_at", offer.leaseExpiresAt)
            }
        }
        field("retry_after_seconds", turn.retryAfterSeconds)
    }

    fileprivate mutating func write(_ point: MemberTracePoint) {
        field("member", point.member)
        field("session", point.session.rawValue)
        write(point.point)
    }
}
