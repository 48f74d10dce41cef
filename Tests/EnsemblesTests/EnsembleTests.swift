import Ensembles
import Foundation
import Sessions
import Testing

@Suite("Ensembles")
struct EnsembleTests {
    @Test("All members are sessions with their starts, made at once")
    func created() async throws {
        let world = World()
        let id = try await world.create(makeRequest { $0.name = "fit" })
        let view = try await world.service.view(id)
        #expect(view.counts == [.waiting: 3] && view.best == nil && view.evaluations == 0)
        let page = try await world.sessions.list(
            SessionQuery(label: SessionQuery.Label(key: "ensemble", value: id.rawValue)))
        #expect(page.items.map { $0.record.name } == ["fit 2", "fit 1", "fit 0"])
        for member in try await world.members(id) {
            let x = try await world.sessions.turn(member.session).x
            #expect(x == .float64([Double(member.number + 1)]))
        }
    }

    @Test("A run finds both minima, ranks them, and is finished when all have ended")
    func runs() async throws {
        let world = World()
        let id = try await world.create(makeRequest([-3, 0, 2, 5]))
        try await world.run(id)
        let view = try await world.service.view(id)
        #expect(view.record.outcome?.reason == .allEnded)
        #expect(view.counts == [.ended: 4] && view.leaseCount == 0)
        #expect(view.best?.loss == -1 && view.best?.x == .float64([-1]))
        let ranking = try await world.service.ranking(id, withPoints: true).members
        #expect(ranking.map(\.number) == [0, 1, 2, 3] && ranking.map(\.rank) == [1, 2, 3, 4])
        #expect(ranking.map { $0.x?.doubles } == [[-1], [-1], [3], [3]])
        #expect(view.evaluations == ranking.reduce(0) { $0 + $1.evaluations })
    }

    @Test("A point is leased to one worker, and offered again when the lease has ended")
    func leases() async throws {
        let world = World()
        let id = try await world.create()
        let first = try await world.ask(id, 2, worker: "a")
        #expect(first.offers.map(\.member) == [0, 1])
        let second = try await world.ask(id, 2, worker: "b")
        #expect(second.offers.map(\.member) == [2])
        let none = try await world.ask(id)
        #expect(none.offers.isEmpty && none.retryAfterSeconds == 60)
        #expect(try await world.members(id).map(\.worker) == ["a", "a", "b"])
        world.clock.advance(61)
        #expect(try await world.ask(id, 9).offers.map(\.member) == [0, 1, 2])
        // A result of a lease that has ended is accepted like any other.
        let answers = try await world.service.tell(id, [first.offers[0].told()], asking: nil)
        #expect((try? answers.answers[0].outcome.get()) != nil)
    }

    @Test("Members that have begun come before others begin")
    func depth() async throws {
        let world = World()
        let id = try await world.create(makeRequest([-3, 0, 2, 5]))
        let told = try await world.run(id, width: 1)
        let order = told.map { $0.split(separator: "/")[0] }
        #expect(order == order.sorted())
    }

    @Test("A member that is told alone counts too")
    func alone() async throws {
        let world = World()
        let id = try await world.create(makeRequest([-3, 0]))
        let offer = try await world.ask(id).offers[0]
        _ = try await world.sessions.tell(
            offer.session, evaluation: offer.evaluation,
            .evaluated(loss: 3, gradient: .flat([-4])))
        #expect(try await world.service.view(id).evaluations == 1)
        // Its lease is over with its evaluation.
        let next = try await world.ask(id, 2).offers
        #expect(next.map(\.evaluation) == [2, 1] && next[0].session == offer.session)
        // Steps that are begun alone are taken over.
        let other = try await world.create()
        let member = try await world.members(other)[2].session
        _ = try await world.sessions.withSession(member) { try await $0.beginStep() }
        #expect(try await world.ask(other).offers[0].member == 2)
    }

    @Test("A deleted member is gone; the last one takes the ensemble with it")
    func deletedMember() async throws {
        let world = World()
        let id = try await world.create()
        let tag = try await world.service.view(id).tag
        let members = try await world.members(id)
        try await world.sessions.delete(members[1].session)
        #expect(try await world.members(id).map(\.number) == [0, 2])
        #expect(try await world.service.view(id).tag != tag)
        #expect(try await world.ask(id, 9).offers.map(\.member) == [0, 2])
        try await world.sessions.delete(members[0].session)
        try await world.sessions.delete(members[2].session)
        let error = await refusal { _ = try await world.service.view(id) }
        #expect(error == .notFound(.ensemble, id: id.rawValue))
    }

    @Test("Deleting an ensemble deletes its members")
    func deleted() async throws {
        let world = World()
        let id = try await world.create()
        _ = try await world.ask(id)
        try await world.service.delete(id)
        #expect(try await world.store.sessionCount() == 0)
        let error = await refusal { _ = try await world.ask(id) }
        #expect(error == .notFound(.ensemble, id: id.rawValue))
    }

    @Test("Results succeed and fail on their own, and can be repeated")
    func results() async throws {
        let world = World()
        let id = try await world.create()
        let offers = try await world.ask(id, 2).offers
        let stranger = try await world.create()
        let foreign = try await world.ask(stranger).offers[0]
        var wrong = offers[1].told()
        wrong.told?.request = .evaluated(loss: 1, gradient: .flat([1, 2]))
        let told = try await world.service.tell(
            id, [offers[0].told(), wrong, foreign.told()], asking: nil)
        #expect(told.answers.map(\.member) == [0, 1, nil])
        let outcomes = told.answers.map { try? $0.outcome.get() }
        #expect(outcomes[0]?.isReplay == false && outcomes[1] == nil && outcomes[2] == nil)
        let again = try await world.service.tell(id, [offers[0].told()], asking: nil)
        #expect(try again.answers[0].outcome.get().isReplay)
        // The stranger's member was not told.
        #expect(try await world.service.view(stranger).evaluations == 0)
    }

    @Test("A target, a budget and a client finish an ensemble, and end its steps")
    func finished() async throws {
        let world = World()
        let target = try await world.create(
            makeRequest([5, -3, 0]) { $0.stop.target = -0.999 })
        try await world.run(target, width: 3)
        #expect(try await world.service.view(target).record.outcome?.reason == .target)
        let budget = try await world.create(
            makeRequest([5, -3, 0]) { $0.stop.evaluations = 4 })
        let told = try await world.run(budget, width: 3)
        #expect(told.count == 4)
        #expect(try await world.service.view(budget).record.outcome?.reason == .evaluations)
        let stopped = try await world.create()
        _ = try await world.ask(stopped, 2)
        #expect(try await world.service.stop(stopped).isReplay == false)
        #expect(try await world.service.stop(stopped).isReplay)
        for id in [target, budget, stopped] {
            #expect(try await world.members(id).allSatisfy { $0.state != .running })
            #expect(try await world.ask(id).offers.isEmpty)
        }
    }

    @Test("The worse of two in the same basin is abandoned, and stays so")
    func sameBasin() async throws {
        let world = World()
        let id = try await world.create(
            makeRequest([-3, -2.9999, 5, 0.5]) { $0.basin = BasinRule(distance: 0.01, loss: 0.01) })
        try await world.run(id, width: 2)
        let members = try await world.members(id)
        #expect(members[0].state == .abandoned && members[0].abandonment?.reason == .sameBasin)
        #expect(members[0].abandonment?.other == 1 && members[0].result?.reason == .stopped)
        #expect(members[1].state == .ended && members[2].state == .ended)
        let again = await world.restarted()
        #expect(try await again.members(id)[0].state == .abandoned)
        #expect(try await again.service.view(id).record.outcome?.reason == .allEnded)
    }

    @Test("A member without progress is abandoned unless it is the best")
    func stagnation() async throws {
        let world = World()
        // A slope that flattens out: far out each evaluation brings little.
        func slope(_ x: Double) -> (Double, Double) {
            (x / (1 + abs(x)) * 1e-3 + (x > 0 ? 10 : 0), 1e-3 / pow(1 + abs(x), 2))
        }
        let id = try await world.create(
            makeRequest([50, -50]) {
                $0.stagnation = StagnationRule(evaluations: 3, tolerance: 1e-2)
                $0.options.toleranceChange = 0
                $0.options.toleranceGradient = 0
                $0.stop.evaluations = 40
            })
        try await world.run(id, width: 2, slope)
        let members = try await world.members(id)
        #expect(members[0].state == .abandoned && members[0].abandonment?.reason == .stagnation)
        #expect(members[0].evaluations == 4)
        #expect(members[1].abandonment == nil && members[1].evaluations > 4)
    }

    @Test("A restart between any two requests changes nothing but leases")
    func resumed() async throws {
        func request() -> EnsembleRequest {
            makeRequest([-3, -2.5, 5, 0.5, 7, 4]) {
                $0.basin = BasinRule(distance: 0.2, loss: 0.05)
                $0.stagnation = StagnationRule(evaluations: 6, tolerance: 1e-3)
                $0.options.maxIterations = 30
            }
        }
        let world = World()
        let whole = try await world.create(request())
        let expected = try await world.run(whole, width: 2)
        for isClean in [true, false] {
            var broken = World()
            let id = try await broken.create(request())
            var told: [String] = []
            while try await broken.service.view(id).record.outcome == nil {
                told += try await broken.run(id, width: 2, count: 1)
                broken = isClean ? await broken.restarted() : broken.killed()
            }
            #expect(Set(told) == Set(expected), "\(isClean)")
            let (one, other) = (try await world.members(whole), try await broken.members(id))
            for (a, b) in zip(one, other) {
                #expect(a.state == b.state && a.loss == b.loss && a.evaluations == b.evaluations)
                #expect(a.abandonment == b.abandonment && a.result == b.result)
            }
        }
    }

    @Test("Waiting asks are answered as soon as there is a point")
    func waiting() async throws {
        let world = World()
        let id = try await world.create(makeRequest([-3]))
        let offer = try await world.ask(id).offers[0]
        async let waiting = world.service.ask(id, EnsembleAsk(), waitSeconds: 20)
        try await Task.sleep(for: .milliseconds(50))
        _ = try await world.service.tell(id, [offer.told()], asking: nil)
        #expect(try await waiting.offers.map(\.evaluation) == [2])
        async let end = world.service.ask(id, EnsembleAsk(), waitSeconds: 20)
        try await Task.sleep(for: .milliseconds(50))
        _ = try await world.service.stop(id)
        #expect(try await end.outcome?.reason == .stopped)
    }

    @Test("Events tell of evaluations, of members that end, and of the end")
    func events() async throws {
        let world = World()
        let id = try await world.create(makeRequest([-3, 5]))
        let events = try await world.service.events(id, heartbeatSeconds: 60)
        try await world.run(id)
        var kinds: [String] = []
        for await event in events {
            switch event {
            case .evaluation(let point): kinds.append("\(point.member)")
            case .member(let member): kinds.append("\(member.number) \(member.state)")
            case .finished(let outcome): kinds.append("\(outcome.reason)")
            case .heartbeat: break
            }
        }
        #expect(kinds.last == "allEnded")
        #expect(kinds.contains("0 ended") && kinds.contains("1 ended"))
        let count = try await world.service.view(id).evaluations
        #expect(kinds.filter { $0 == "0" || $0 == "1" }.count == count)
        let trace = try await world.service.trace(id, limit: 1000)
        #expect(trace.points.count == count && trace.next == nil)
        var read: [MemberTracePoint] = []
        var next: (Int, Int)? = (0, 1)
        while let (member, evaluation) = next {
            let page = try await world.service.trace(id, member: member, from: evaluation, limit: 2)
            read += page.points
            next = page.next
        }
        #expect(read == trace.points)
    }

    @Test("A key makes creation repeatable, for its tenant")
    func idempotency() async throws {
        let world = World()
        let key = IdempotencyKey(key: "k", requestDigest: Digest(high: 1, low: 2))
        let one = try await world.service.create(makeRequest(), idempotency: key)
        let two = try await world.service.create(makeRequest(), idempotency: key)
        #expect(two.isReplay && one.value.record.id == two.value.record.id)
        let other = try await world.service.create(
            makeRequest(), tenant: "other", idempotency: key)
        #expect(!other.isReplay && other.value.record.tenant == "other")
        let reused = IdempotencyKey(key: "k", requestDigest: Digest(high: 1, low: 3))
        let error = await refusal {
            _ = try await world.service.create(makeRequest(), idempotency: reused)
        }
        #expect(error == .idempotencyKeyReused("k"))
        #expect(try await world.store.sessionCount() == 6)
    }

    @Test("Quotas and limits count members, and a refusal creates nothing")
    func quotas() async throws {
        let quota = TenantQuota(sessionsMax: 4)
        let world = World(tenants: TenantLedger(defaults: quota)) {
            $0.ensemblesMax = 2
            $0.ensembleMembersMax = 5
        }
        _ = try await world.create()
        let reached = await refusal { _ = try await world.create() }
        #expect(reached == .quotaReached(.sessions, needed: 3, used: 3, maximum: 4))
        _ = try await world.create(makeRequest([1]))
        let full = await refusal { _ = try await world.create(makeRequest([1])) }
        #expect(full == .overloaded(limit: .ensembles, maximum: 2, retryAfterSeconds: 60))
        #expect(try await world.store.sessionCount() == 4)
        let many = await refusal { _ = try await World().create(makeRequest([])) }
        guard case .invalid(let errors) = many else {
            Issue.record("\(String(describing: many))")
            return
        }
        let expected = FieldError(field: "starts", reason: "must be from 1 to 1000, not 0")
        #expect(errors.first == expected)
    }

    @Test("A thousand members run within a small budget of memory")
    func memory() async throws {
        let world = World { $0.residentBytesMax = 3 << 20 }
        var request = EnsembleRequest(starts: .designed(.uniform(seed: 4), count: 1000))
        request.count = 1
        (request.lower, request.upper) = ([-4], [6])
        request.options.lineSearch = .some(.strongWolfe)
        request.options.historySize = 3
        let id = try await world.create(request)
        try await world.run(id, width: 8)
        let view = try await world.service.view(id)
        #expect(view.counts == [.ended: 1000] && view.best?.loss == -1)
    }

    @Test("An ensemble that nothing changes for its time is deleted as a whole")
    func expired() async throws {
        let world = World()
        let id = try await world.create(makeRequest { $0.expiresAfter = .some(100) })
        world.clock.advance(90)
        _ = try await world.ask(id)
        world.clock.advance(90)
        await world.service.expire()
        #expect(try await world.members(id).count == 3)
        world.clock.advance(101)
        await world.service.expire()
        #expect(try await world.store.sessionCount() == 0)
    }

    typealias Change = @Sendable (inout EnsembleRequest) -> Void

    static let wrong: [(field: String, change: Change)] = [
        ("n", { $0.count = 0 }),
        ("starts[1]", { $0.starts = .given([[1], [1, 2]]) }),
        ("starts[1]", { $0.starts = .given([[1], [.nan]]) }),
        ("starts[0][0]", { ($0.lower, $0.upper) = ([2], [3]) }),
        ("upper", { $0.lower = [1] }),
        ("lower", { ($0.lower, $0.upper) = ([4], [3]) }),
        (
            "lower",
            {
                $0.starts = .designed(.uniform(seed: 1), count: 3)
                $0.count = 2
            }
        ),
        (
            "n",
            { request in
                request.starts = .designed(.uniform(seed: 1), count: 3)
                (request.lower, request.upper) = ([4], [5])
            }
        ),
        (
            "lower",
            { request in
                request.starts = .designed(.uniform(seed: 1), count: 3)
                request.count = 2
                (request.lower, request.upper) = ([-1e308], [1e308])
            }
        ),
        (
            "starts.seed",
            { request in
                request.starts = .designed(.uniform(seed: -1), count: 3)
                request.count = 2
                (request.lower, request.upper) = ([0], [1])
            }
        ),
        (
            "starts.method",
            { request in
                request.starts = .designed(.sobol(seed: 1, skip: 0), count: 3)
                request.count = 21_202
                (request.lower, request.upper) = ([0], [1])
            }
        ),
        ("starts.count", { $0.starts = .designed(.uniform(seed: 1), count: 1001) }),
        ("labels.member", { $0.labels = ["member": "1"] }),
        ("stop.target", { $0.stop.target = .nan }),
        ("stop.evaluations", { $0.stop.evaluations = 0 }),
        (
            "abandon.stagnation.evaluations",
            {
                $0.stagnation = StagnationRule(evaluations: 0, tolerance: 0)
            }
        ),
        ("abandon.same_basin.distance", { $0.basin = BasinRule(distance: -1, loss: 0) }),
        ("options.lr", { $0.options.lr = -1 }),
        ("expires_after", { $0.expiresAfter = .some(0) }),
    ]

    @Test("Wrong requests are refused, with the field", arguments: EnsembleTests.wrong.indices)
    func refused(index: Int) async throws {
        let (field, change) = Self.wrong[index]
        let world = World()
        let error = await refusal { _ = try await world.create(makeRequest([1, 2], change)) }
        guard case .invalid(let errors) = error else {
            Issue.record("\(field): \(String(describing: error))")
            return
        }
        #expect(errors.map(\.field).contains(field), "\(errors)")
        #expect(try await world.store.sessionCount() == 0)
    }
}
