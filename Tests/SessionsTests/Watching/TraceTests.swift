import Foundation
import Sessions
import TestKit
import Testing

@Suite("Traces for pictures")
struct TraceTests {
    private func point(
        _ evaluation: Int, iteration: Int = 1, t: Double = 1, loss: Double? = 1,
        accepted: Double? = nil
    ) -> TracePoint {
        TracePoint(
            evaluation: evaluation, step: 1, iteration: iteration, loss: loss,
            gradientNormInf: loss, stepLength: t, time: Date(timeIntervalSince1970: 0),
            search: SearchTrace(slope: -1, acceptedStepLength: accepted))
    }

    /// The trace in fewer points, added in pages of seven.
    private func decimated(_ trace: [TracePoint], _ count: Int) -> DecimatedTrace {
        var decimated = DecimatedTrace(through: trace.last?.evaluation ?? 0, count: count)
        for start in stride(from: 0, to: trace.count, by: 7) {
            decimated.add(Array(trace[start..<min(start + 7, trace.count)]))
        }
        decimated.finish()
        return decimated
    }

    @Test("The trial is accepted whose step length the search ended with")
    func accepted() {
        var points = [
            point(1, iteration: 0, t: 0, accepted: 0), point(2, t: 1), point(3, t: 2),
            point(4, t: 3, accepted: 2), point(5, iteration: 2, t: 1, accepted: 0),
            point(6, iteration: 3, t: 1),
        ]
        points.markAccepted()
        #expect(points.map(\.isAccepted) == [true, false, true, false, false, nil])
    }

    @Test("Of each range the least and the greatest loss stay, and failures are counted")
    func decimated() {
        let losses: [Double?] = [5, 1, 9, .nan, nil, 3, 3, 3, 3, 7]
        let trace = losses.enumerated().map { point($0 + 1, loss: $1) }
        let few = decimated(trace, 4)
        #expect(few.entries == 10)
        #expect(few.points.map(\.evaluation) == [2, 3, 6, 10])
        #expect(few.failures == [.init(first: 1, last: 5, count: 2)])
        let whole = decimated(trace, 10)
        #expect(whole.points.count == 10 && whole.failures.map(\.count) == [1, 1])
        #expect(decimated([], 2).points.isEmpty)
    }

    @Test("A decimated trace has its extremes, and no more points than were asked for")
    func bounds() {
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<200 {
            let count = Int.random(in: 1...300, using: &generator)
            var number = 0
            let trace = (0..<count).map { _ in
                number += Int.random(in: 1...3, using: &generator)
                return point(number, loss: Double.random(in: -1...1, using: &generator))
            }
            let wanted = Int.random(in: 2...100, using: &generator)
            let points = decimated(trace, wanted).points
            #expect(points.count <= max(wanted, 2), "\(count) to \(wanted)")
            #expect(points.compactMap(\.loss).min() == trace.compactMap(\.loss).min())
            #expect(points.compactMap(\.loss).max() == trace.compactMap(\.loss).max())
            #expect(points.map(\.evaluation) == points.map(\.evaluation).sorted())
        }
    }

    @Test("An iteration's points show its search: slopes, the start, and what was accepted")
    func search() async throws {
        for isMaximizing in [false, true] {
            let service = makeService()
            var request = makeRequest()
            request.options.maximize = isMaximizing
            let sign = isMaximizing ? -1.0 : 1
            let id = try await makeSession(service, request)
            _ = try await service.beginStep(id)
            var gradients: [[Double]] = []
            var points: [[Double]] = []
            while let number = try await service.turn(id).evaluation {
                let x = try await service.turn(id).x.doubles
                let (loss, gradient) = problem.evaluate(x)
                points.append(x)
                gradients.append(gradient.map { sign * $0 })
                _ = try await service.tell(
                    id, evaluation: number,
                    .evaluated(loss: sign * loss, gradient: .flat(gradients.last ?? [])))
            }
            let trace = try await service.trace(id, limit: 1_000)
            let count = try #require(trace.last?.iteration)
            #expect(trace.count > count + 1, "some search has several trials")
            var start = 0
            for iteration in 1..<count {
                let trials = try await service.trace(id, iteration: iteration, step: nil)
                #expect(trials == trace.filter { $0.iteration == iteration })
                #expect(trials.count { $0.isAccepted == true } == 1)
                for trial in trials {
                    let index = trial.evaluation - 1
                    // x(t) - x(0) is t d.
                    let product = zip(zip(points[index], points[start]), gradients[index])
                        .reduce(0.0) { $0 + ($1.0.0 - $1.0.1) * $1.1 }
                    let slope = try #require(trial.search?.slope)
                    let scale = abs(slope) + 1e-9
                    #expect(abs(slope - product / trial.stepLength) <= 1e-5 * scale + 1e-9)
                    #expect(trial.search?.startLoss == trace[start].loss)
                    #expect(sign * (trial.search?.startSlope ?? 0) < 0)
                }
                let accepted = try #require(trials.first { $0.isAccepted == true })
                start = accepted.evaluation - 1
            }
        }
    }
}

@Suite("Events of many sessions")
struct FeedTests {
    /// The events up to `count`, without heartbeats.
    private func first(_ count: Int, of stream: AsyncStream<FeedEvent>) async -> [FeedEvent] {
        var events: [FeedEvent] = []
        for await event in stream where event != .heartbeat {
            events.append(event)
            if events.count == count { break }
        }
        return events
    }

    @Test("A stream has what happens to the sessions it watches, and to no others")
    func watched() async throws {
        let service = makeService()
        let old = try await makeSession(service)
        let all = try await service.events(of: .all)
        let one = try await service.events(of: .these([old]))
        let foreign = try await service.events(of: .all, tenant: "other")
        let labelled = try await service.events(of: .labelled(.init(key: "a", value: "b")))
        var request = makeRequest()
        request.labels = ["a": "b"]
        let new = try await makeSession(service, request)
        for id in [old, new] {
            _ = try await service.beginStep(id)
            try await run(service, id, count: 1)
            try await service.delete(id)
        }
        await service.shutdown()
        let seen = await first(10, of: all)
        #expect(seen.first == .created(new) && seen.count == 5)
        #expect(seen.contains(.deleted(old)) && seen.contains(.deleted(new)))
        let ofOld = await first(10, of: one)
        #expect(ofOld.count == 2 && ofOld.last == .deleted(old))
        guard case .session(old, .evaluation(let point)) = ofOld.first else {
            Issue.record("\(ofOld)")
            return
        }
        #expect(point.evaluation == 1)
        let ofLabel = await first(10, of: labelled)
        #expect(ofLabel.count == 3 && ofLabel.last == .deleted(new))
        #expect(await first(10, of: foreign).isEmpty)
    }

    @Test("A reader that is too slow is cut off, and another tenant's session is not found")
    func limits() async throws {
        let service = makeService { $0.feedsMax = 1 }
        let id = try await makeSession(service)
        let stream = try await service.events(of: .all)
        let error = await refusal { _ = try await service.events(of: .all) }
        #expect(error == .overloaded(limit: .feeds, maximum: 1, retryAfterSeconds: 1))
        let notFound = await refusal {
            _ = try await service.events(of: .these([id]), tenant: "other")
        }
        #expect(notFound == .notFound(.session, id: id.rawValue))
        for number in 0..<2_000 {
            var update = UpdateRequest()
            update.name = "\(number)"
            _ = try await service.update(id, update)
            _ = try await service.beginStep(id)
            try await service.withSession(id) { _ = try await $0.stop() }
            if number > 1_100 { break }
        }
        // It ends without a shutdown, after what was buffered.
        var count = 0
        for await event in stream where event != .heartbeat { count += 1 }
        #expect(count == 1_024)
        _ = try await service.events(of: .all)
    }
}
