internal import SessionModel

internal import struct Foundation.Date

/// An ensemble as a value: its members, their leases, and the rules.
///
/// It is a function of the record, of the members' sessions, and of the leases. Changes of sessions
/// go in through `apply`, and what the rules demand comes out of `nextAction`: the caller carries
/// it out and reports it. A change that was made by others than the ensemble is like any other.
///
/// Members that have begun are offered before another one begins: at any time about as many run as
/// there are workers. So few sessions are in memory, and a newcomer is compared with runs that have
/// ended, which saves most where it falls into their basin.
struct EnsembleState: Sendable {
    private(set) var record: EnsembleRecord
    /// In order of their numbers.
    private(set) var members: [Member]
    private var indices: [SessionID: Int]
    /// Members with a pending point, and members that have not begun.
    private var begun = MemberQueue()
    private var waiting = MemberQueue()
    private(set) var leaseCount = 0
    /// No lease ends before it.
    private var firstExpiry = Date.distantFuture
    /// The sum of the members' evaluations.
    private(set) var evaluations = 0
    /// Numbers of members to whose changes the rules have yet to be applied, in their order.
    private var changed: [Int] = []

    /// What a rule demands.
    enum Action: Equatable, Sendable {
        case abandon(member: Int, Abandonment)
        case finish(EnsembleOutcome.Reason)
    }

    init(_ record: EnsembleRecord, members stored: [StoredMember]) {
        self.record = record
        members = stored.map { stored in
            var member = Member(number: stored.number, session: stored.session)
            member.abandonment = stored.abandonment
            guard let summary = stored.summary else { return member }
            member.status = summary.status
            member.sequence = summary.sequence
            let isEvaluating = summary.status.phase == .evaluating
            let told =
                isEvaluating ? summary.status.evaluation - 1 : stored.lastStep?.lastEvaluation
            member.evaluations = told ?? 0
            if summary.status.phase == .idle, stored.lastStep?.number == summary.status.step {
                member.result = stored.lastStep?.result
            }
            return member
        }
        indices = Dictionary(
            uniqueKeysWithValues: members.enumerated().map { ($1.session, $0) })
        evaluations = members.reduce(0) { $0 + $1.evaluations }
        for index in members.indices { enqueue(index) }
        // The rules hold at once: a crash may have come between a change and what follows from it.
        changed = members.map(\.number)
    }

    private var specification: EnsembleSpecification { record.specification }
    /// With it a lower loss is better in either case.
    private var sign: Double { specification.isMaximizing ? -1 : 1 }
    var isFinished: Bool { record.outcome != nil }

    func member(_ session: SessionID) -> Member? { indices[session].map { members[$0] } }

    func member(number: Int) -> Member? { index(ofNumber: number).map { members[$0] } }

    /// Changes with every change of the ensemble and of its members' sessions. A deleted member
    /// never comes back, so that the second part only falls.
    var tag: EntityTag {
        EntityTag(
            sequence: members.reduce(0) { $0 + $1.sequence },
            metadataVersion: 2 * members.count + (isFinished ? 0 : 1))
    }

    // MARK: Changes

    /// A change of a member's session. Older ones than the newest seen are ignored.
    /// - Parameter accepted: The newest accepted point, where the rules need it.
    mutating func apply(
        _ turn: Turn, loss: Double?, traces: [TracePoint], accepted: Vector?
    ) {
        guard let index = indices[turn.session], turn.tag.sequence >= members[index].sequence
        else { return }
        var member = members[index]
        let number = turn.evaluation ?? member.status?.evaluation ?? 0
        member.sequence = turn.tag.sequence
        member.status = SessionStatus(
            phase: turn.phase, step: turn.step, evaluation: number, loss: loss)
        member.result = turn.phase == .idle ? turn.result : nil
        member.isInShards = turn.shards != nil
        member.pending = turn.phase == .evaluating && turn.shards == nil ? turn : nil
        if let accepted { member.point = accepted }
        if let last = traces.last { member.evaluations = last.evaluation }
        if let rule = specification.stagnation {
            for point in traces {
                member.progress.note(
                    point.loss, of: point.evaluation, tolerance: rule.tolerance, sign: sign)
            }
        }
        if let lease = member.lease, let evaluation = lease.evaluation,
            turn.evaluation != evaluation
        {
            member.lease = nil
            leaseCount -= 1
        }
        evaluations += member.evaluations - members[index].evaluations
        // Its place among those that wait is passed over.
        if members[index].state == .waiting { member.isQueued = false }
        members[index] = member
        enqueue(index)
        changed.append(member.number)
    }

    /// The losses of a run that were told before it was seen.
    mutating func restore(_ traces: [TracePoint], of session: SessionID) {
        guard let index = indices[session], let rule = specification.stagnation else { return }
        for point in traces {
            members[index].progress.note(
                point.loss, of: point.evaluation, tolerance: rule.tolerance, sign: sign)
        }
    }

    mutating func note(_ point: Vector, of session: SessionID) {
        guard let index = indices[session] else { return }
        members[index].point = point
    }

    /// The session can't be read.
    mutating func noteDamage(of session: SessionID) {
        guard let index = indices[session] else { return }
        members[index].status = nil
        dropLease(index)
    }

    mutating func remove(_ session: SessionID) {
        guard let index = indices[session] else { return }
        dropLease(index)
        evaluations -= members[index].evaluations
        // The queues have numbers, which stay.
        members.remove(at: index)
        indices = Dictionary(
            uniqueKeysWithValues: members.enumerated().map { ($1.session, $0) })
    }

    /// The action was carried out, and is on disk.
    mutating func noteAbandoned(_ number: Int, _ abandonment: Abandonment) {
        guard let index = index(ofNumber: number) else { return }
        members[index].abandonment = abandonment
        dropLease(index)
    }

    mutating func noteFinished(_ outcome: EnsembleOutcome) {
        record.outcome = outcome
        for index in members.indices { dropLease(index) }
    }

    // MARK: Leases

    /// Takes up to `count` members whose points are to be offered, and leases them. The caller
    /// finds the points, and reports them with `confirm`, or with `release` what can't be offered.
    mutating func take(
        _ count: Int, worker: String, until expiry: Date, now: Date
    ) -> [Member] {
        expireLeases(now)
        guard !isFinished else { return [] }
        var allowance = count
        if let budget = specification.stop.evaluations {
            allowance = min(allowance, budget - evaluations - leaseCount)
        }
        var taken: [Member] = []
        while taken.count < allowance, let index = popOfferable() {
            members[index].lease = Member.Lease(worker: worker, evaluation: nil, expiresAt: expiry)
            leaseCount += 1
            firstExpiry = min(firstExpiry, expiry)
            taken.append(members[index])
        }
        return taken
    }

    private mutating func popOfferable() -> Int? {
        while let number = begun.popFirst() ?? waiting.popFirst() {
            guard let index = index(ofNumber: number) else { continue }
            members[index].isQueued = false
            if members[index].isOfferable, members[index].lease == nil { return index }
        }
        return nil
    }

    /// Members are in order of their numbers, from which only deleted ones are missing.
    private func index(ofNumber number: Int) -> Int? {
        var (low, high) = (0, members.count)
        while low < high {
            let middle = (low + high) / 2
            if members[middle].number < number { low = middle + 1 } else { high = middle }
        }
        return low < members.count && members[low].number == number ? low : nil
    }

    /// The evaluation that a leased member is offered for; nil if it has none to offer any more.
    mutating func confirm(_ session: SessionID, _ evaluation: EvaluationNumber) -> Bool {
        guard let index = indices[session], members[index].isOfferable, !isFinished,
            members[index].status?.evaluation == evaluation, members[index].lease != nil
        else { return false }
        members[index].lease?.evaluation = evaluation
        return true
    }

    /// Ends a lease; the member's point is offered again if it has one.
    mutating func release(_ session: SessionID) {
        guard let index = indices[session] else { return }
        dropLease(index)
        enqueue(index)
    }

    mutating func expireLeases(_ now: Date) {
        guard firstExpiry <= now else { return }
        firstExpiry = .distantFuture
        for index in members.indices {
            guard let lease = members[index].lease else { continue }
            // One without an evaluation belongs to a request that is being answered.
            if lease.expiresAt <= now, lease.evaluation != nil {
                dropLease(index)
                enqueue(index)
            } else {
                firstExpiry = min(firstExpiry, lease.expiresAt)
            }
        }
    }

    /// When the first lease ends; nil if there is none.
    var nextExpiry: Date? {
        leaseCount == 0 ? nil : members.compactMap { $0.lease?.expiresAt }.min()
    }

    private mutating func dropLease(_ index: Int) {
        guard members[index].lease != nil else { return }
        members[index].lease = nil
        leaseCount -= 1
    }

    private mutating func enqueue(_ index: Int) {
        guard !members[index].isQueued, members[index].isOfferable, members[index].lease == nil
        else { return }
        members[index].isQueued = true
        if members[index].state == .waiting {
            waiting.append(members[index].number)
        } else {
            begun.append(members[index].number)
        }
    }
}

// MARK: - Rules

extension EnsembleState {
    /// The members whose accepted points the basin rule needs for the next action, and does not
    /// have: those near in loss to a member that has changed.
    var missingPoints: [SessionID] {
        guard let rule = specification.basin, !isFinished else { return [] }
        var missing: Set<SessionID> = []
        for index in changed.compactMap(index(ofNumber:)) {
            for other in nearInLoss(index, rule) {
                for member in [members[index], members[other]] where member.point == nil {
                    missing.insert(member.session)
                }
            }
        }
        return missing.sorted { $0.rawValue < $1.rawValue }
    }

    /// What the rules demand next: for the changes in their order, the first rule that holds. To be
    /// called until it returns nil, after each action was carried out and noted.
    mutating func nextAction() -> Action? {
        if isFinished {
            changed = []
            return nil
        }
        while let number = changed.first {
            if let index = index(ofNumber: number), let action = abandonment(index) {
                return action
            }
            changed.removeFirst()
        }
        return finish.map(Action.finish)
    }

    private func abandonment(_ index: Int) -> Action? {
        if let rule = specification.basin {
            for other in nearInLoss(index, rule) {
                guard let one = members[index].point, let two = members[other].point,
                    areNear(one, two, rule)
                else { continue }
                // Of two that run the worse ends; of one that has ended the basin is known.
                let isOtherRunning = members[other].state == .running
                let ends = !isOtherRunning || isBetter(other, index) ? index : other
                guard members[ends].state == .running, let step = members[ends].status?.step
                else { continue }
                let stays = ends == index ? other : index
                return .abandon(
                    member: members[ends].number,
                    Abandonment(.sameBasin, step: step, other: members[stays].number))
            }
        }
        if let rule = specification.stagnation, members[index].state == .running,
            let step = members[index].status?.step, members[index].progress.loss != nil,
            members[index].evaluations - members[index].progress.evaluation >= rule.evaluations,
            bestIndex != index
        {
            return .abandon(
                member: members[index].number, Abandonment(.stagnation, step: step))
        }
        return nil
    }

    private var finish: EnsembleOutcome.Reason? {
        if let target = specification.stop.target,
            members.contains(where: { $0.loss.map { sign * $0 <= sign * target } ?? false })
        {
            return .target
        }
        if !members.contains(where: { [.waiting, .running].contains($0.state) }) {
            return .allEnded
        }
        if let budget = specification.stop.evaluations, evaluations >= budget {
            return .evaluations
        }
        return nil
    }

    /// Other members that run, or have converged, with nearly the same loss; none if this one
    /// neither runs nor has converged.
    private func nearInLoss(_ index: Int, _ rule: BasinRule) -> [Int] {
        guard let loss = members[index].loss, isComparable(index) else { return [] }
        return members.indices.filter { other in
            guard other != index, let otherLoss = members[other].loss, isComparable(other)
            else { return false }
            // Of two that have ended nothing is to be saved.
            guard [members[index], members[other]].contains(where: { $0.state == .running })
            else { return false }
            return abs(loss - otherLoss) <= rule.loss * max(1, abs(otherLoss))
        }
    }

    private func isComparable(_ index: Int) -> Bool {
        switch members[index].state {
        case .running: true
        case .ended: members[index].result?.converged ?? false
        case .waiting, .abandoned, .damaged: false
        }
    }

    private func areNear(_ one: Vector, _ two: Vector, _ rule: BasinRule) -> Bool {
        // A point that could not be read is empty, and near to none.
        guard one.count == two.count, one.count > 0 else { return false }
        let box = specification.box
        for (index, (a, b)) in zip(one.doubles, two.doubles).enumerated() {
            var scale = 1.0
            if let box, index < specification.parameterCount {
                let width = box.upper(index) - box.lower(index)
                if width > 0, width.isFinite { scale = width }
            }
            // False also for NaN.
            guard abs(a - b) <= rule.distance * scale else { return false }
        }
        return true
    }

    // MARK: Ranking

    private func isBetter(_ one: Int, _ other: Int) -> Bool {
        let losses = (members[one].loss, members[other].loss)
        switch losses {
        case (let a?, let b?) where a != b: return sign * a < sign * b
        case (_?, nil): return true
        case (nil, _?): return false
        default: return members[one].number < members[other].number
        }
    }

    /// Indices of the members with a finite loss, the best first; of equals the lower number.
    private var ranked: [Int] {
        members.indices.filter { members[$0].loss != nil }.sorted(by: isBetter)
    }

    /// All members, the best first; those without a loss come last, in order of their numbers.
    var ranking: [MemberView] {
        let ranked = ranked
        let rest = members.indices.filter { members[$0].loss == nil }
        return (ranked + rest).enumerated().map { place, index in
            var view = view(members[index])
            view.rank = place < ranked.count ? place + 1 : nil
            return view
        }
    }

    /// Of one member, without its rank, which costs a look at all.
    func view(_ member: Member) -> MemberView {
        var view = MemberView(
            number: member.number, session: member.session, state: member.state)
        view.loss = member.status?.loss
        view.step = member.status?.step ?? 0
        view.evaluations = member.evaluations
        view.result = member.result
        view.abandonment = member.state == .abandoned ? member.abandonment : nil
        view.worker = member.lease?.worker
        view.leaseExpiresAt = member.lease?.expiresAt
        return view
    }

    private var bestIndex: Int? {
        members.indices.filter { members[$0].loss != nil }.min(by: isBetter)
    }

    var best: MemberView? {
        guard let index = bestIndex else { return nil }
        var view = view(members[index])
        view.rank = 1
        return view
    }

    var counts: [MemberState: Int] {
        members.reduce(into: [:]) { $0[$1.state, default: 0] += 1 }
    }
}
