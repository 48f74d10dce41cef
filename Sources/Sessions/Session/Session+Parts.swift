internal import struct Foundation.Date

// Groups of parameters, and evaluations that are told in parts.

extension Session {
    public func groups() async throws(CallError) -> [GroupView] {
        try await exclusively { () async throws(SessionError) in state.groupViews }
    }

    public func group(_ index: Int) async throws(CallError) -> (GroupView, EntityTag) {
        try await exclusively { () async throws(SessionError) in
            guard state.layout.groups.indices.contains(index) else {
                throw .notFound(.group, id: "\(index)")
            }
            return (state.groupViews[index], turn.tag)
        }
    }

    /// torch's `add_param_group`; here the run continues. Between steps only. O(m n).
    public func addGroup(
        _ request: GroupRequest, idempotency key: IdempotencyKey? = nil,
        precondition: Precondition = .none
    ) async throws(CallError) -> Outcome<GroupView> {
        try await exclusively(changing: true) { () async throws(SessionError) in
            if let earlier = try await earlier(key, scope: "param-groups") {
                guard let index = Int(earlier.outcome), index < state.layout.groups.count else {
                    throw .notFound(.group, id: earlier.outcome)
                }
                return Outcome(state.groupViews[index], isReplay: true)
            }
            try check(precondition)
            try checkIdle()
            let valid = try request.validated(
                joining: state.layout, as: state.dtype, state.engine.sessionBounds,
                state.engine.options, limits)
            try limits.checkDiskReserve(of: store, writing: valid.values.byteCount)
            let time = now()
            let change = state.addGroup(
                valid.specs, values: valid.values, bounds: valid.bounds, name: request.name,
                at: time)
            let index = state.layout.groups.count - 1
            try await commit(
                change, idempotencyRecord(key, scope: "param-groups", outcome: "\(index)", at: time)
            )
            var view = state.groupViews[index]
            view.projected = valid.bounds.outsideCount(of: valid.values)
            return Outcome(view)
        }
    }

    /// Names a group, freezes it or unfreezes it. Between steps only.
    public func changeGroup(
        _ index: Int, _ update: GroupUpdate, precondition: Precondition = .none
    ) async throws(CallError) -> (GroupView, EntityTag) {
        try await exclusively(changing: true) { () async throws(SessionError) in
            guard state.layout.groups.indices.contains(index) else {
                throw .notFound(.group, id: "\(index)")
            }
            try check(precondition)
            let group = state.layout.groups[index]
            let name = update.name ?? group.name
            let isFrozen = update.isFrozen ?? group.isFrozen
            if name != group.name || isFrozen != group.isFrozen {
                try checkIdle()
                try limits.checkMetadata(name: name)
                try await commit(
                    state.changeGroup(index, name: name, isFrozen: isFrozen, at: now()))
            }
            return (state.groupViews[index], turn.tag)
        }
    }
}

extension SessionState {
    var groupViews: [GroupView] {
        layout.groups.enumerated().map { index, group in
            GroupView(
                index: index, group: group,
                names: layout.isNamed
                    ? layout.parameters[group.parameters].compactMap(\.name) : nil,
                count: layout.count(of: group))
        }
    }
}

// MARK: - Shards

extension Session {
    /// Tells one shard of the pending evaluation. Durable when it returns. The last missing shard
    /// completes the evaluation.
    func tellShard(
        _ shard: Int, of number: EvaluationNumber, _ request: TellRequest,
        precondition: Precondition
    ) async throws(CallError) -> Outcome<Turn> {
        try await exclusively(changing: true) { () async throws(SessionError) in
            try limits.checkReason(request)
            guard number == state.pendingEvaluation else {
                return try await tellShardAgain(shard, of: number, request)
            }
            let result: ShardResult
            switch request {
            case .evaluated(let loss, let gradient):
                result = .evaluated(loss: loss, gradient: try state.shardGradient(gradient))
            case .failed(let reason):
                result = .failed(reason: reason)
            }
            guard shard < state.shards.count ?? 1 else {
                throw .notFound(.shard, id: "\(shard)")
            }
            if let told = state.shards[shard] {
                guard told.digest == result.digest else { throw .alreadyTold(number) }
                return Outcome(turn, isReplay: true)
            }
            try check(precondition)
            try checkNoHookCalled()
            let time = now()
            var digests = state.shards.delivered.mapValues(\.digest)
            digests[shard] = result.digest
            let change = state.deliver(result, asShard: shard, at: time)
            // The shards' digests, by which a shard that is told again later is recognised.
            let isWhole = change.entry.trace != nil
            let record = isWhole ? shardRecord(digests, of: number, at: time) : nil
            try await commit(change, record)
            return Outcome(turn)
        }
    }

    private func shardScope(_ number: EvaluationNumber) -> String {
        "\(id)/evaluations/\(number)/shards"
    }

    private func shardRecord(
        _ digests: [Int: Digest], of number: EvaluationNumber, at time: Date
    ) -> IdempotencyRecord {
        let texts = digests.sorted { $0.key < $1.key }.map { "\($0.value)" }
        return IdempotencyRecord(
            scope: shardScope(number), key: "digests", requestDigest: .of([]),
            outcome: texts.joined(separator: " "), createdAt: time)
    }

    private func tellShardAgain(
        _ shard: Int, of number: EvaluationNumber, _ request: TellRequest
    ) async throws(SessionError) -> Outcome<Turn> {
        try checkReached(number)
        let record = try await read { store throws(StoreError) in
            try await store.idempotencyRecord(scope: shardScope(number), key: "digests")
        }
        guard let record else {
            throw .evaluationClosed(number, pending: state.pendingEvaluation)
        }
        let digests = record.outcome.split(separator: " ")
        guard digests.indices.contains(shard) else { throw .notFound(.shard, id: "\(shard)") }
        let results: [ShardResult]
        switch request {
        case .evaluated(let loss, let gradient):
            results = try state.pastGradients(gradient).map {
                .evaluated(loss: loss, gradient: $0)
            }
        case .failed(let reason): results = [.failed(reason: reason)]
        }
        guard results.contains(where: { digests[shard] == "\($0.digest)" }) else {
            throw .alreadyTold(number)
        }
        return Outcome(turn, isReplay: true)
    }

    /// torch's `zero_grad`: drops the shards of the pending evaluation, which are then absent, or
    /// zeros. Without any it changes nothing.
    public func zeroGradient(
        setToNone: Bool, idempotency key: IdempotencyKey? = nil,
        precondition: Precondition = .none
    ) async throws(CallError) -> Outcome<Turn> {
        try await exclusively(changing: true) { () async throws(SessionError) in
            if try await earlier(key, scope: "zero-grad") != nil {
                return Outcome(turn, isReplay: true)
            }
            try check(precondition)
            guard state.pendingEvaluation != nil, !state.shards.delivered.isEmpty else {
                return Outcome(turn)
            }
            try checkNoHookCalled()
            let time = now()
            let change = state.dropShards(setToNone: setToNone, at: time)
            try await commit(
                change, idempotencyRecord(key, scope: "zero-grad", outcome: "", at: time))
            return Outcome(turn)
        }
    }

    /// Gives one shard of the pending evaluation to one worker for some time.
    public func lease(
        _ number: EvaluationNumber, worker: String, seconds: Double,
        precondition: Precondition = .none
    ) async throws(CallError) -> Lease {
        try await exclusively(changing: true) { () async throws(SessionError) in
            try limits.checkLease(worker: worker, seconds: seconds)
            guard number == state.pendingEvaluation else {
                try checkReached(number)
                throw .evaluationClosed(number, pending: state.pendingEvaluation)
            }
            try check(precondition)
            let time = now()
            let count = state.shards.count ?? 1
            let delivered = Set(state.shards.delivered.keys)
            guard
                let shard = state.scalars.leases.offer(
                    to: worker, of: count, delivered: delivered, at: time)
            else {
                let expiry = state.scalars.leases.nextExpiry(delivered: delivered)
                let wait = expiry.map { $0.timeIntervalSince(time).rounded(.up) } ?? 1
                throw .noShardFree(number, retryAfterSeconds: Int(min(max(wait, 1), 3600)))
            }
            let record = LeaseRecord(
                shard: shard, worker: worker, expiresAt: time.addingTimeInterval(seconds))
            try await commit(state.lease(record, at: time))
            return Lease(
                session: id, evaluation: number, shard: shard, shardCount: count, worker: worker,
                expiresAt: record.expiresAt, x: turn.x)
        }
    }
}
