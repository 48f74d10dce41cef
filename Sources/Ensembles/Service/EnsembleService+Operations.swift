public import Sessions

// What clients do with ensembles.

extension EnsembleService {
    /// Newest first; doesn't load ensembles.
    public func list(
        pageSize: Int?, after: PageToken?, tenant: String
    ) async throws(SessionError) -> Page<EnsembleRecord> {
        let size = try sessions.checkedPageSize(pageSize)
        let after = try await sessions.opened(after)
        let page: Page<EnsembleRecord>
        do throws(StoreError) {
            page = try await sessions.store.ensembles(
                pageSize: size, after: after, tenant: tenant)
        } catch {
            throw SessionError(error)
        }
        return try await sessions.sealed(page)
    }

    public func view(_ id: EnsembleID) async throws(SessionError) -> EnsembleView {
        try await withEnsemble(id) { try await $0.view() }
    }

    /// The members by rank.
    public func ranking(
        _ id: EnsembleID, withPoints: Bool = false
    ) async throws(SessionError) -> (members: [MemberView], tag: EntityTag) {
        try await withEnsemble(id) { try await $0.ranking(withPoints: withPoints) }
    }

    /// Up to `ask.count` points, leased to the worker. With `waitSeconds` the call waits while all
    /// are leased, until there is one or the ensemble is finished.
    public func ask(
        _ id: EnsembleID, _ ask: EnsembleAsk, waitSeconds: Double? = nil,
        precondition: Precondition = .none
    ) async throws(SessionError) -> EnsembleTurn {
        try check(ask)
        try await withEnsemble(id) { try await $0.check(precondition) }
        return try await points(id, ask, waitSeconds: waitSeconds)
    }

    private func points(
        _ id: EnsembleID, _ ask: EnsembleAsk, waitSeconds: Double?
    ) async throws(SessionError) -> EnsembleTurn {
        var turn = try await withEnsemble(id) { try await $0.ask(ask) }
        guard let waitSeconds, waitSeconds > 0, turn.isToWait else { return turn }
        try sessions.enterWait()
        defer { sessions.leaveWait() }
        let deadline = ContinuousClock.now + .seconds(min(waitSeconds, limits.waitSecondsMax))
        while turn.isToWait, ContinuousClock.now < deadline, !Task.isCancelled {
            let expiry = ContinuousClock.now + .seconds(turn.retryAfterSeconds ?? 1)
            turn = try await withEnsemble(id) { ensemble in
                await withTaskGroup(of: Void.self) { group in
                    group.addTask { await ensemble.waitForChange() }
                    group.addTask { try? await Task.sleep(until: min(deadline, expiry)) }
                    await group.next()
                    group.cancelAll()
                }
                return try await ensemble.ask(ask)
            }
        }
        return turn
    }

    /// Tells results, each of which succeeds or fails on its own, and then asks, if `ask` is given.
    public func tell(
        _ id: EnsembleID, _ items: [EvaluationItem], asking ask: EnsembleAsk?,
        waitSeconds: Double? = nil, precondition: Precondition = .none
    ) async throws(SessionError) -> (answers: [EnsembleAnswer], turn: EnsembleTurn) {
        if let ask { try check(ask, field: "ask.") }
        try await withEnsemble(id) { try await $0.check(precondition) }
        let answers = try await withEnsemble(id) { try await $0.tell(items) }
        // The results are told: what is refused from here on is no error of the request.
        do throws(SessionError) {
            return (
                answers,
                try await points(
                    id, ask ?? EnsembleAsk(count: 0), waitSeconds: ask == nil ? nil : waitSeconds)
            )
        } catch {
            switch error {
            case .overloaded(_, _, let seconds), .memoryFull(_, _, _, let seconds):
                return (answers, try await position(id, retryAfterSeconds: seconds))
            case .quotaReached, .storageFull, .reserveReached:
                return (answers, try await position(id, retryAfterSeconds: 30))
            default: throw error
            }
        }
    }

    private func position(
        _ id: EnsembleID, retryAfterSeconds seconds: Int
    ) async throws(SessionError) -> EnsembleTurn {
        var turn = try await withEnsemble(id) { try await $0.ask(EnsembleAsk(count: 0)) }
        turn.retryAfterSeconds = turn.outcome == nil ? seconds : nil
        return turn
    }

    private func check(_ ask: EnsembleAsk, field prefix: String = "") throws(SessionError) {
        var errors: [FieldError] = []
        if !(1...limits.ensembleAskMax).contains(ask.count) {
            errors.append(
                FieldError(
                    field: prefix + "count",
                    reason: "must be from 1 to \(limits.ensembleAskMax), not \(ask.count)"))
        }
        do throws(SessionError) {
            try limits.checkLease(worker: ask.worker, seconds: ask.seconds)
        } catch {
            guard case .invalid(let found) = error else { throw error }
            errors += found.map { FieldError(field: prefix + $0.field, reason: $0.reason) }
        }
        guard errors.isEmpty else { throw .invalid(errors) }
    }

    /// Ends the ensemble: the steps of its members end at their best points.
    public func stop(
        _ id: EnsembleID, precondition: Precondition = .none
    ) async throws(SessionError) -> Outcome<EnsembleView> {
        try await withEnsemble(id) { try await $0.check(precondition) }
        let stopped = try await withEnsemble(id) { try await $0.stop() }
        return Outcome(stopped.view, isReplay: stopped.isReplay)
    }

    /// Deletes the members' sessions one after the other, and with the last one the ensemble. A
    /// call that was interrupted can be repeated.
    public func delete(
        _ id: EnsembleID, precondition: Precondition = .none
    ) async throws(SessionError) {
        if precondition != .none {
            try await withEnsemble(id) { try await $0.check(precondition) }
        }
        // What follows from each deletion need not be worked out.
        await retire(id)
        for member in try await members(of: id) {
            do throws(SessionError) {
                try await sessions.delete(member.session)
            } catch {
                guard case .notFound(.session, _) = error else { throw error }
            }
        }
        await retire(id)
        // Without members left it is gone. One whose members' rows are damaged is not.
        do throws(StoreError) {
            try await sessions.store.delete(id)
        } catch {
            guard error == .missing else { throw SessionError(error) }
        }
    }

    // MARK: Watching

    /// Points of the members' traces, in order of member and evaluation, from `first` of member
    /// `member` on. `next` is where to read on; nil at the end.
    public func trace(
        _ id: EnsembleID, member: Int = 0, from first: EvaluationNumber = 1, limit: Int
    ) async throws(SessionError) -> (points: [MemberTracePoint], next: (Int, EvaluationNumber)?) {
        var points: [MemberTracePoint] = []
        for stored in try await members(of: id) where stored.number >= member {
            let start = stored.number == member ? first : 1
            let found = try await trace(
                stored.session, from: start, limit: limit - points.count)
            points += found.map {
                MemberTracePoint(member: stored.number, session: stored.session, point: $0)
            }
            if points.count == limit, let last = points.last {
                return (points, (last.member, last.point.evaluation + 1))
            }
        }
        return (points, nil)
    }

    /// Live events, until the ensemble is finished, deleted or evicted, the server stops, or the
    /// reader is too slow.
    public func events(
        _ id: EnsembleID, heartbeatSeconds: Double = 15
    ) async throws(SessionError) -> AsyncStream<EnsembleEvent> {
        try sessions.enterWait()
        let relay: EnsembleEventRelay
        do throws(SessionError) {
            relay = EnsembleEventRelay(
                live: try await withEnsemble(id) {
                    try await $0.subscribe(
                        limit: EnsembleEventRelay.bufferMax, heartbeatSeconds: heartbeatSeconds)
                }, service: sessions)
        } catch {
            sessions.leaveWait()
            throw error
        }
        return AsyncStream { await relay.next() }
    }
}

/// Passes events on, and leaves the wait when its reader is gone.
private actor EnsembleEventRelay {
    static let bufferMax = 1024

    private let service: SessionService
    private var live: AsyncStream<EnsembleEvent>.Iterator

    init(live: AsyncStream<EnsembleEvent>, service: SessionService) {
        self.live = live.makeAsyncIterator()
        self.service = service
    }

    deinit { service.leaveWait() }

    func next() async -> EnsembleEvent? {
        var iterator = live
        let event = await iterator.next(isolation: self)
        live = iterator
        return event
    }
}

extension EnsembleTurn {
    /// Whether a worker that waits may still get a point.
    fileprivate var isToWait: Bool { offers.isEmpty && outcome == nil }
}
