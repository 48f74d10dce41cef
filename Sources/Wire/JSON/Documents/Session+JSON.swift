public import SessionModel

extension SessionView {
    public var json: [UInt8] {
        JSONText.object { text in
            text.writeIdentity(record, status)
            text.field("params", array: record.parameters) { text, spec in
                text.object { $0.write(spec) }
            }
            text.field("options") { text in
                text.write(options)
                text.field("maximize", isMaximizing)
            }
            text.field("bounded", isBounded)
            text.field("l1", hasL1)
            text.field("projected", projected)
            text.field("shards", shardCount)
            text.field("param_groups", array: groups) { text, view in
                text.object { $0.write(view) }
            }
            text.writeProgress(record, status)
            text.writeBest(best)
            text.field("mode", options.mode.rawValue)
            text.field("gradient_norm_inf", gradientNormInf)
            text.field("ensemble", ensemble?.rawValue)
            text.field("memory_bytes_estimate", memoryBytesEstimate)
            text.field("disk_bytes", diskBytes)
            text.field("expires_after", record.expiresAfter)
            text.field("expires_at", record.expiry(unchangedSince: updatedAt))
            text.field("created_at", record.createdAt)
            text.field("updated_at", updatedAt)
        }
    }
}

extension Page<SessionSummary> {
    /// `{"sessions": [..], "next_page_token", "damaged"}`. Items leave out parameters and options,
    /// which would make the list long and slow.
    public var json: [UInt8] {
        JSONText.object { text in
            text.field("sessions", array: items) { text, summary in
                text.object { text in
                    text.writeIdentity(summary.record, summary.status)
                    text.writeProgress(summary.record, summary.status)
                    text.writeBest(summary.progress?.best)
                    text.field("mode", summary.progress?.mode.rawValue)
                    text.field("gradient_norm_inf", summary.progress?.gradientNormInf)
                    text.field("ensemble", summary.ensemble?.rawValue)
                    text.field(
                        "expires_at", summary.record.expiry(unchangedSince: summary.updatedAt))
                    text.field("created_at", summary.record.createdAt)
                    text.field("updated_at", summary.updatedAt)
                }
            }
            text.field("next_page_token", next?.text)
            guard damaged.count > 0 else { return }
            text.field(
                "damaged",
                object: { text in
                    text.field("count", damaged.count)
                    text.field("ids", array: damaged.ids) { $0.string($1.rawValue) }
                })
        }
    }
}

extension JSONText {
    fileprivate mutating func writeIdentity(_ record: SessionRecord, _ status: SessionStatus) {
        field("id", record.id.rawValue)
        field("name", record.name)
        field("labels") { text in
            for (key, value) in record.labels.sorted(by: { $0.key < $1.key }) {
                text.field(key, value)
            }
        }
        field("state", status.phase.rawValue)
        field("dtype", record.dtype.rawValue)
        field("n", record.parameterCount)
    }

    fileprivate mutating func writeProgress(_ record: SessionRecord, _ status: SessionStatus) {
        field("step", status.step)
        field("evaluation", status.evaluation)
        field("loss", status.loss)
        if let origin = record.origin {
            field("origin") { text in
                text.field("session", origin.session)
                text.field("checkpoint", String(origin.checkpoint))
            }
        } else {
            fieldNull("origin")
        }
    }

    fileprivate mutating func writeBest(_ best: BestEvaluation?) {
        guard let best else { return fieldNull("best") }
        field("best") { text in
            text.field("loss", best.loss)
            text.field("evaluation", best.evaluation)
        }
    }

    mutating func write(_ options: Options) {
        field("lr", options.lr)
        field("max_iter", options.maxIterations)
        field("max_eval", options.maxEvaluations)
        field("tolerance_grad", options.toleranceGradient)
        field("tolerance_change", options.toleranceChange)
        field("history_size", options.historySize)
        field("history_dtype", options.historyDType?.rawValue)
        field("line_search_fn", options.lineSearch?.rawValue)
        field("mode", options.mode.rawValue)
        switch options.noise {
        case .relative(let epsilon): field("noise", epsilon)
        case .float64, .float32, nil: field("noise", options.noise?.name)
        }
        field("tolerance_grad_relative", options.toleranceGradientRelative)
        field("tolerance_loss_relative", options.toleranceLossRelative)
        field("reuse_evaluation", options.reuseEvaluation)
    }
}
