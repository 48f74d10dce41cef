internal import SessionModel
internal import Sessions
internal import Synchronization

internal import struct Foundation.Date

/// An ensemble in memory: its state, and what waits for it.
///
/// Its members' sessions commit results by themselves, told by anyone, and note each change in
/// the inbox. The ensemble takes the changes from there, one call after the other, and carries out
/// what its rules demand. It holds its own lock while it calls a session, and a session never waits
/// for it: the order is ensemble, session, store.
actor Ensemble {
    let id: EnsembleID
    let tenant: String
    let sessions: SessionService
    /// Under which its memory is reserved.
    let guest: SessionID
    var state: EnsembleState
    private(set) var isRetired = false
    /// Changes of sessions that the state has yet to take in.
    nonisolated let inbox = Inbox()

    /// Whether a call uses the state; others wait in `waitingCalls`.
    private var isBusy = false
    private var waitingCalls: [CheckedContinuation<Void, Never>] = []
    var turnWaiters: [Int: CheckedContinuation<Void, Never>] = [:]
    var subscribers: [Int: AsyncStream<EnsembleEvent>.Continuation] = [:]
    var nextWaiter = 0
    /// When it was last used, for eviction.
    var lastUsedAt: Date

    enum CallError: Error {
        /// It was evicted or deleted: call again on the object that is loaded then.
        case retired
        case failed(SessionError)
    }

    init(_ state: EnsembleState, sessions: SessionService, guest: SessionID) {
        id = state.record.id
        tenant = state.record.tenant
        self.state = state
        self.sessions = sessions
        self.guest = guest
        lastUsedAt = sessions.now()
    }

    /// Runs `body` on the state, with all changes taken in and the rules applied.
    /// - Parameter order: See `settle`.
    func exclusively<Value: Sendable>(
        takingIn order: [SessionID] = [], _ body: () async throws(SessionError) -> Value
    ) async throws(CallError) -> Value {
        if isBusy {
            guard waitingCalls.count < sessions.limits.queuedRequestsMax else {
                throw .failed(
                    .overloaded(
                        limit: .queuedRequests, maximum: sessions.limits.queuedRequestsMax,
                        retryAfterSeconds: 1))
            }
            await withCheckedContinuation { waitingCalls.append($0) }
        } else {
            isBusy = true
        }
        defer { passOn() }
        guard !isRetired else { throw .retired }
        lastUsedAt = sessions.now()
        do throws(SessionError) {
            try await settle(order: order)
            return try await body()
        } catch {
            // The disk may have what the state has not, or the other way round.
            if error.leavesEnsembleBehind { retire() }
            throw .failed(error)
        }
    }

    private func passOn() {
        if waitingCalls.isEmpty { isBusy = false } else { waitingCalls.removeFirst().resume() }
    }

    /// To be called when the inbox has something that nobody else will take.
    func noticed() async {
        try? await exclusively { () async throws(SessionError) in }
    }

    // MARK: Changes and rules

    /// Takes changes in, and does what the rules demand until they demand nothing.
    /// - Parameter order: Sessions whose changes come first, in this order: of changes that were
    ///   made at the same time the outcome must not depend on threads.
    func settle(order: [SessionID] = []) async throws(SessionError) {
        takeIn(order)
        while true {
            for session in state.missingPoints { await findPoint(of: session) }
            guard let action = state.nextAction() else { break }
            switch action {
            case .abandon(let number, let abandonment): try await abandon(number, abandonment)
            case .finish(let reason): try await finish(reason)
            }
            takeIn(order)
        }
    }

    private func takeIn(_ order: [SessionID]) {
        let notices = inbox.take(order)
        guard !notices.isEmpty else { return }
        let needsPoints = state.record.specification.basin != nil
        for (session, notice) in notices {
            guard let before = state.member(session) else { continue }
            switch notice {
            case .deleted: state.remove(session)
            case .changed(let change):
                state.apply(
                    change.turn, loss: change.loss, traces: change.traces,
                    accepted: needsPoints ? change.point : nil)
                for point in change.traces {
                    publish(
                        .evaluation(
                            MemberTracePoint(
                                member: before.number, session: session, point: point)))
                }
                if before.state == .running, let now = state.member(session), now.state == .ended {
                    publish(.member(state.view(now)))
                }
            }
        }
        wake()
    }

    private func findPoint(of session: SessionID) async {
        do throws(SessionError) {
            state.note(try await sessions.acceptedPoint(session), of: session)
        } catch {
            // A session that can't be read has no basin, and one that can't be loaded now is not
            // compared now: an empty point is near to none.
            state.note(.float64([]), of: session)
        }
    }

    /// First on disk, then in the session: after a crash between the two the step is ended when the
    /// ensemble is loaded.
    private func abandon(_ number: Int, _ abandonment: Abandonment) async throws(SessionError) {
        guard let member = state.member(number: number) else { return }
        try await write { store throws(StoreError) in
            try await store.abandon(number, of: id, abandonment)
        }
        state.noteAbandoned(number, abandonment)
        await endStep(of: member.session)
        if let now = state.member(member.session) { publish(.member(state.view(now))) }
        wake()
    }

    /// First in the sessions, then on disk: after a crash between the two the rule holds again. So
    /// a step that is begun on a member afterwards is nobody's but its client's.
    func finish(_ reason: EnsembleOutcome.Reason) async throws(SessionError) {
        let running = state.members.filter { $0.state == .running }.map(\.session)
        await withTaskGroup(of: Void.self) { group in
            for (place, session) in running.enumerated() {
                if place >= Self.sessionsAtOnce { await group.next() }
                group.addTask { await self.endStep(of: session) }
            }
        }
        takeIn([])
        let outcome = EnsembleOutcome(reason, at: sessions.now())
        try await write { store throws(StoreError) in try await store.finish(id, outcome) }
        state.noteFinished(outcome)
        publish(.finished(outcome))
        wake()
    }

    /// So many sessions are asked for something at the same time.
    static let sessionsAtOnce = 16

    /// One that waits for a hook, or can't be loaded, keeps its step.
    private func endStep(of session: SessionID) async { try? await sessions.endStep(session) }

    private func write(
        _ body: (any Store) async throws(StoreError) -> Void
    ) async throws(SessionError) {
        do throws(StoreError) {
            try await body(sessions.store)
        } catch {
            throw SessionError(error, ensemble: id)
        }
    }

    /// Steps that a crash has left running though they were abandoned.
    func endAbandonedSteps() async {
        for member in state.members where member.state == .abandoned {
            guard let phase = member.status?.phase, phase != .idle else { continue }
            await endStep(of: member.session)
        }
    }

    /// Takes the members as they were read after their sessions were watched.
    func reload(_ members: [StoredMember]) {
        state = EnsembleState(state.record, members: members)
    }

    func restore(_ traces: [TracePoint], of session: SessionID) {
        state.restore(traces, of: session)
    }

    // MARK: Eviction

    /// Retires it unless a worker or a client has a use for it. Returns whether it is retired.
    func evict(idleSince deadline: Date, isForced: Bool = false) -> Bool {
        if isRetired { return true }
        if !isForced {
            state.expireLeases(sessions.now())
            guard !isBusy, waitingCalls.isEmpty, turnWaiters.isEmpty, subscribers.isEmpty,
                state.leaseCount == 0, lastUsedAt < deadline
            else { return false }
        }
        retire()
        return true
    }

    /// Ends all waits. Every later call throws `retired`.
    func retire() {
        guard !isRetired else { return }
        isRetired = true
        sessions.watchers.unwatch(state.members.map(\.session))
        sessions.releaseMemory(guest)
        wake()
        let ended = subscribers
        subscribers = [:]
        for subscriber in ended.values { subscriber.finish() }
    }
}

/// What sessions note for their ensemble. A session that notes something waits for nobody.
final class Inbox: Sendable {
    typealias Item = (session: SessionID, notice: SessionWatchers.Notice)

    private struct Contents {
        var items: [Item] = []
        /// Calls that will take the items themselves.
        var takers = 0
        /// Whether somebody was called to take the items.
        var isCalled = false
    }

    private let contents = Mutex(Contents())

    /// Returns whether somebody should be called to take the item.
    func add(_ session: SessionID, _ notice: SessionWatchers.Notice) -> Bool {
        contents.withLock { contents in
            contents.items.append((session, notice))
            guard contents.takers == 0, !contents.isCalled else { return false }
            contents.isCalled = true
            return true
        }
    }

    /// While takers are there, nobody is called.
    func enter() { contents.withLock { $0.takers += 1 } }
    func leave() { contents.withLock { $0.takers -= 1 } }

    /// All items: first those of the sessions in `order`, then the others as they came.
    func take(_ order: [SessionID]) -> [Item] {
        let items = contents.withLock { contents in
            defer {
                contents.items = []
                contents.isCalled = false
            }
            return contents.items
        }
        guard order.count > 1 else { return items }
        let places = Dictionary(
            order.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
        return items.enumerated().sorted { one, other in
            let (a, b) = (
                places[one.element.session] ?? .max, places[other.element.session] ?? .max
            )
            return a == b ? one.offset < other.offset : a < b
        }.map(\.element)
    }
}

extension SessionError {
    /// Whether the ensemble that threw this may no longer match the disk.
    fileprivate var leavesEnsembleBehind: Bool {
        switch self {
        case .storageFull, .storageFailed, .shuttingDown, .corrupt: true
        case .notFound(let resource, _): resource == .ensemble
        default: false
        }
    }

    init(_ error: StoreError, ensemble: EnsembleID) {
        if error == .missing {
            self = .notFound(.ensemble, id: ensemble.rawValue)
        } else {
            self.init(error)
        }
    }
}
