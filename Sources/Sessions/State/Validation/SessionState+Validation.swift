extension SessionState.Scalars {
    /// What can be checked without the engine. Throws the first field with a value that no session
    /// has.
    func validate() throws(UnreadableSnapshot) {
        try layout.validate("layout")
        try requireCount(sequence, "sequence")
        try requireCount(stepsBegun, "stepsBegun")
        try requireCount(step, upTo: stepsBegun, "step")
        try requireCount(evaluationsAsked, "evaluationsAsked")
        try requireCount(
            stepFirstEvaluation, from: 1, upTo: evaluationsAsked + 1, "stepFirstEvaluation")
        try stepStartedAt.validate("stepStartedAt")
        try shardCount?.validateAsShardCount("shardCount")
        try stepShardCount?.validateAsShardCount("stepShardCount")
        if let best { try requireCount(best.evaluation, "best.evaluation") }
        for (shard, lease) in leases.leases {
            try require(
                lease.shard == shard && shard >= 0, "leases.\(shard).shard", "must be \(shard)")
            try lease.expiresAt.validate("leases.\(shard).expiresAt")
        }
        try hooks.validate("hooks")
    }
}

extension SessionState {
    /// Checks what the scalars, the engine and the rest say of one another. The scalars and the
    /// engine have been validated by themselves.
    func validate() throws(UnreadableSnapshot) {
        try require(
            engine.parameterVector.count == layout.count, "layout",
            "has \(layout.count) numbers, and x has \(engine.parameterVector.count)")
        try require(
            engine.frozen == layout.frozenRanges, "frozenRanges",
            "must be those of the frozen groups, \(layout.frozenRanges)")
        if engine.isStepping {
            try require(scalars.step >= 1, "step", "must be at least 1 while one runs")
            try require(
                scalars.stepFirstEvaluation <= scalars.evaluationsAsked, "evaluationsAsked",
                "must be at least \(scalars.stepFirstEvaluation), the running step's first")
        }
        try validateShards()
        try validateHookCall()
    }

    /// The last shard concludes an evaluation, so that one at least is missing.
    private func validateShards() throws(UnreadableSnapshot) {
        let delivered = shards.delivered
        if delivered.isEmpty { return }
        try require(engine.isStepping, "shards", "must be none between steps")
        let count = shards.count ?? 0
        for (shard, result) in delivered {
            try require(
                (0..<count).contains(shard), "shard/\(shard)", "is none of the \(count) shards")
            guard case .evaluated(_, let gradient) = result else { continue }
            try require(
                gradient.count == layout.count, "shard/\(shard)",
                "has \(gradient.count) numbers, and the parameters have \(layout.count)")
        }
        try require(delivered.count < count, "shards", "are all there, and none is pending")
    }

    private func validateHookCall() throws(UnreadableSnapshot) {
        guard let call = scalars.hooks.call else { return }
        try require(
            !call.needsIdleEngine || !engine.isStepping, "hooks.call.operation",
            "takes place between steps, and one runs")
        if case .beginStep = call.operation {
            try require(scalars.step >= 1, "step", "must be at least 1 where one begins")
        }
        guard case .loadStateDict = call.operation, let hookedDict else { return }
        try require(
            hookedDict.groups.count == layout.groups.count, "hooked_dict.groups",
            "must be \(layout.groups.count), not \(hookedDict.groups.count)")
    }
}
