internal import SessionModel
internal import Sessions

internal import struct Foundation.Date

// Points for workers.

extension Ensemble {
    /// Up to `ask.count` points, leased to the worker. Begins steps of members that have not begun.
    /// O(points), if no lease has ended.
    func ask(_ ask: EnsembleAsk) async throws(CallError) -> EnsembleTurn {
        try await exclusively { () async throws(SessionError) in try await turn(ask) }
    }

    private func turn(_ ask: EnsembleAsk) async throws(SessionError) -> EnsembleTurn {
        let now = sessions.now()
        let expiry = now.addingTimeInterval(ask.seconds)
        var offers: [EnsembleOffer] = []
        var refusal: SessionError?
        // A member that turns out to have no point makes room for another.
        while offers.count < ask.count, refusal == nil {
            let taken = state.take(
                ask.count - offers.count, worker: ask.worker, until: expiry, now: now)
            if taken.isEmpty { break }
            for (member, found) in await turns(of: taken) {
                switch found {
                case .success(let turn): add(turn, of: member, until: expiry, to: &offers)
                case .failure(let error):
                    drop(member, error)
                    if refusal == nil, error.isPassing { refusal = error }
                }
            }
        }
        // What has begun is noted by its sessions.
        try await settle(order: offers.map(\.session))
        offers.removeAll { offer in
            state.member(offer.session)?.lease?.evaluation != offer.evaluation
        }
        if let refusal, offers.isEmpty { throw refusal }
        var retryAfter: Int?
        if offers.isEmpty, !state.isFinished {
            let seconds = state.nextExpiry.map { $0.timeIntervalSince(sessions.now()) } ?? 1
            retryAfter = Int(min(3600, max(1, seconds.rounded(.up))))
        }
        return EnsembleTurn(
            ensemble: id, outcome: state.record.outcome, offers: offers,
            retryAfterSeconds: retryAfter, tag: state.tag)
    }

    private func add(
        _ turn: Turn, of member: Member, until expiry: Date, to offers: inout [EnsembleOffer]
    ) {
        state.apply(
            turn, loss: state.member(member.session)?.status?.loss, traces: [], accepted: nil)
        guard let evaluation = turn.evaluation, turn.phase == .evaluating, turn.shards == nil,
            state.confirm(member.session, evaluation)
        else {
            state.release(member.session)
            return
        }
        offers.append(
            EnsembleOffer(
                member: member.number, session: member.session, evaluation: evaluation,
                x: turn.x, leaseExpiresAt: expiry))
    }

    private func drop(_ member: Member, _ error: SessionError) {
        switch error {
        case .corrupt: state.noteDamage(of: member.session)
        case .notFound(.session, _): state.remove(member.session)
        default: state.release(member.session)
        }
    }

    /// The turns of members, in their order. Those that were seen cost nothing.
    private func turns(
        of members: [Member]
    ) async -> [(Member, Result<Turn, SessionError>)] {
        var found: [Int: Result<Turn, SessionError>] = [:]
        await withTaskGroup(of: (Int, Result<Turn, SessionError>).self) { group in
            var running = 0
            for (place, member) in members.enumerated() {
                if let turn = member.pending {
                    found[place] = .success(turn)
                    continue
                }
                if running >= Self.sessionsAtOnce, let (place, turn) = await group.next() {
                    found[place] = turn
                }
                running += 1
                let (sessions, tenant) = (sessions, tenant)
                group.addTask { (place, await sessions.begunTurn(of: member, tenant: tenant)) }
            }
            for await (place, turn) in group { found[place] = turn }
        }
        return members.enumerated().compactMap { place, member in
            found[place].map { (member, $0) }
        }
    }

    // MARK: Waiting

    /// Returns after the next change, or when the ensemble is evicted or the task cancelled.
    func waitForChange() async {
        if isRetired || state.isFinished || Task.isCancelled { return }
        let waiter = nextWaiter
        nextWaiter += 1
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                if Task.isCancelled || isRetired {
                    continuation.resume()
                } else {
                    turnWaiters[waiter] = continuation
                }
            }
        } onCancel: {
            Task { await self.cancelWaiter(waiter) }
        }
    }

    private func cancelWaiter(_ waiter: Int) {
        turnWaiters.removeValue(forKey: waiter)?.resume()
    }

    func wake() {
        let waiters = turnWaiters
        turnWaiters = [:]
        for waiter in waiters.values { waiter.resume() }
    }
}

extension SessionService {
    /// The turn of a member, whose first step is begun if it has not begun.
    fileprivate func begunTurn(
        of member: Member, tenant: String
    ) async -> Result<Turn, SessionError> {
        let id = member.session
        do {
            let turn = try await self.turn(id)
            guard turn.phase == .idle, turn.step == 0 else { return .success(turn) }
            return .success(
                try await withinDiskQuota(of: tenant, id) { () async throws -> Turn in
                    do {
                        return try await withSession(id) { try await $0.beginStep() }.value
                    } catch SessionError.stepRunning {
                        // A client has begun it meanwhile.
                        return try await self.turn(id)
                    }
                })
        } catch let error as SessionError {
            return .failure(error)
        } catch {
            return .failure(.storageFailed("\(error)"))
        }
    }
}

extension SessionError {
    /// Whether the same request may succeed later.
    fileprivate var isPassing: Bool {
        switch self {
        case .overloaded, .memoryFull, .quotaReached, .storageFull, .reserveReached, .shuttingDown,
            .storageFailed:
            true
        default: false
        }
    }
}
