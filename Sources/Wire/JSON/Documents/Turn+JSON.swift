public import SessionModel

extension Turn {
    /// While evaluating: `{"session", "state", "step", "evaluation": {"number", "x"}, "iterations",
    /// "loss"}`, without a loss before the first one is known;
    /// while idle: `{"session", "state", "step", "x", "result"}`;
    /// while awaiting a hook: `{"session", "state", "step", "x", "hook_call"}`.
    public var json: [UInt8] {
        JSONText.object(byteCount: 256 + JSONText.numberBytes * x.count) { $0.write(self) }
    }
}

extension StepView {
    public func json(session: SessionID) -> [UInt8] {
        JSONText.object { text in
            text.field("session", session.rawValue)
            if let record {
                text.write(record)
            } else {
                text.field("step", number)
                text.field("state", "running")
                text.field("started_at", startedAt)
                for name in ["ended_at", "first_evaluation", "last_evaluation", "result"] {
                    text.fieldNull(name)
                }
            }
        }
    }
}

extension JSONText {
    mutating func write(_ turn: Turn) {
        field("session", turn.session.rawValue)
        field("state", turn.phase.rawValue)
        field("step", turn.step)
        switch turn.phase {
        case .evaluating:
            field("evaluation") { text in
                text.field("number", turn.evaluation)
                text.field("x", numbers: turn.x)
                if let shards = turn.shards {
                    text.field("shards") { text in
                        text.field("count", shards.count)
                        text.field("delivered", array: shards.delivered) { $0.integer($1) }
                    }
                }
            }
            if let iterations = turn.iterations { field("iterations", iterations) }
            if let loss = turn.loss { field("loss", loss) }
        case .awaitingHook:
            field("x", numbers: turn.x)
            if let call = turn.hookCall { field("hook_call") { $0.write(call) } }
        case .idle:
            field("x", numbers: turn.x)
            field("result", turn.result)
        }
    }

    /// Writes the fields of a step that has ended.
    mutating func write(_ record: StepRecord) {
        field("step", record.number)
        field("state", "ended")
        field("started_at", record.startedAt)
        field("ended_at", record.endedAt)
        field("first_evaluation", record.firstEvaluation)
        field("last_evaluation", record.lastEvaluation)
        field("result", record.result)
    }

    private mutating func write(_ failure: LineSearchFailure) {
        field("step_length_lower", failure.stepLengthLower)
        field("step_length_upper", failure.stepLengthUpper)
        field("slope", failure.slope)
        field("loss_change", failure.lossChange)
        field("loss_noise", failure.lossNoise)
        field("direction_norm_inf", failure.directionNormInf)
        field("trials", failure.trials)
    }

    fileprivate mutating func write(_ call: HookCallView) {
        field("number", call.number)
        field("hook", call.hook)
        field("event", call.event.rawValue)
        field("deadline", call.deadline)
        field("default", call.fallback.rawValue)
        switch call.subject {
        case .nothing: break
        case .options(let options): field("options") { $0.write(options) }
        case .result(let result): field("result", result)
        case .stateDict(let dict): field("state_dict") { $0.write(dict) }
        }
    }

    mutating func field(_ name: String, _ result: StepResult?) {
        guard let result else { return fieldNull(name) }
        field(name) { text in
            text.field("reason", result.reason.rawValue)
            text.field("converged", result.converged)
            text.field("loss_before", result.lossBefore)
            text.field("loss", result.loss)
            text.field("iterations", result.iterations)
            text.field("evaluations", result.evaluations)
            text.field("gradient_norm_inf", result.gradientNormInf)
            if let norm = result.projectedGradientNormInf {
                text.field("projected_gradient_norm_inf", norm)
            }
            if let count = result.activeBounds { text.field("active_bounds", count) }
            if let failure = result.failure { text.field("failure") { $0.write(failure) } }
        }
    }
}
