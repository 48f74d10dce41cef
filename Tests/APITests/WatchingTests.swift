import Foundation
import HTTPServer
import HTTPTypes
import Sessions
import Testing

@Suite("Trace and events")
struct WatchingTests {
    private let harness = Harness()

    private func makeTraced(_ count: Int = 3) async throws -> String {
        let path = try await harness.create(
            "{\"x0\": [1, 2], \"options\": {\"lr\": 0.1, \"tolerance_change\": 0}}")
        var turn = try await harness.call(.post, path + "/steps").object
        for number in 1...count {
            turn = try await harness.call(
                .put, path + "/evaluations/\(number)/result", bowl(turn)
            ).object
        }
        return path
    }

    @Test("A trace can be read in parts")
    func parts() async throws {
        let path = try await makeTraced()
        let all = try await harness.call(.get, path + "/trace")
        #expect((all.object["trace"] as? [Any])?.count == 3 && all["Link"] == nil)
        let part = try await harness.call(.get, path + "/trace?from=2&limit=1")
        #expect(part.object["next"] as? Int == 3)
        #expect(part["Link"] == "<\(path)/trace?from=3&limit=1>; rel=\"next\"")
        let end = try await harness.call(.get, path + "/trace?from=4")
        #expect(end.text.hasSuffix("\"trace\":[],\"next\":null}"))
        for query in ["from=0", "from=x", "limit=0", "limit=100001", "to=1"] {
            #expect(try await harness.call(.get, path + "/trace?\(query)").status == 422)
        }
    }

    @Test("A trace has the same numbers in each form")
    func forms() async throws {
        let path = try await makeTraced() + "/trace"
        let json = try await harness.call(.get, path)
        let lines = try await harness.call(.get, path, headers: ["Accept": "application/x-ndjson"])
        let joined = lines.text.split(separator: "\n").joined(separator: ",")
        #expect(json.text.contains("[\(joined)]"))
        let table = try await harness.call(.get, path, headers: ["Accept": "text/csv"])
        #expect(table["Content-Type"] == "text/csv; charset=utf-8; header=present")
        #expect(table.text.components(separatedBy: "\r\n").count == 5)
    }

    /// The stream's frames up to `count`, the first of which says when to connect again.
    private func frames(_ answer: Answer, _ count: Int) async throws -> [String] {
        guard case .stream(let stream) = answer.response.body else {
            Issue.record("no stream but \(answer.status) \(answer.text)")
            return []
        }
        var frames: [String] = []
        for await frame in stream.chunks {
            frames.append(String(decoding: frame, as: UTF8.self))
            if frames.count == count { break }
        }
        return frames
    }

    @Test("Events begin after the last one that was seen, and go on live")
    func events() async throws {
        let path = try await makeTraced()
        let answer = try await harness.call(
            .get, path + "/events",
            headers: ["Last-Event-ID": "1", "Accept": "text/event-stream"])
        #expect(answer.status == 200 && answer["Content-Type"] == "text/event-stream")
        #expect(answer["Cache-Control"] == "no-store")
        let turn = try await harness.call(.get, path + "/evaluation").object
        _ = try await harness.call(.put, path + "/evaluations/4/result", bowl(turn))
        _ = try await harness.call(.post, path + "/stop")
        let frames = try await frames(answer, 5)
        #expect(frames.first == "retry: 1000\n\n")
        #expect(
            frames.dropFirst().map { $0.prefix(while: { $0 != "{" }) } == [
                "event: evaluation\nid: 2\ndata: ", "event: evaluation\nid: 3\ndata: ",
                "event: evaluation\nid: 4\ndata: ", "event: step\ndata: ",
            ])
    }

    @Test("The place in the stream can be said in the query too")
    func lastEventQuery() async throws {
        let path = try await makeTraced()
        let answer = try await harness.call(.get, path + "/events?last_event_id=2")
        #expect(try await frames(answer, 2).last?.hasPrefix("event: evaluation\nid: 3\n") == true)
        for target in ["?last_event_id=x", "?last_event_id=-1", "?last=1"] {
            #expect(try await harness.call(.get, path + "/events" + target).status == 422)
        }
        let bad = try await harness.call(
            .get, path + "/events", headers: ["Last-Event-ID": "9223372036854775807"])
        #expect(bad.status == 400)
    }

    @Test("A stream that nobody reads any more lets its place go")
    func abandoned() async throws {
        var limits = Limits()
        limits.waitersMax = 1
        let harness = Harness(limits: limits)
        let path = try await harness.create()
        do {
            let answer = try await harness.call(.get, path + "/events")
            #expect(answer.status == 200)
            let full = try await harness.call(.get, path + "/events")
            #expect(full.status == 503 && full.problem == "overloaded")
            #expect(full["Retry-After"] != nil && full.object["limit"] as? Int == 1)
        }
        for _ in 0..<200 {
            if try await harness.call(.get, path + "/events").status == 200 { return }
            try await Task.sleep(for: .milliseconds(10))
        }
        Issue.record("the place was not let go")
    }

    @Test("A stream ends when the session is deleted")
    func ended() async throws {
        let path = try await makeTraced()
        let answer = try await harness.call(.get, path + "/events?last_event_id=2")
        _ = try await harness.call(.delete, path)
        #expect(try await frames(answer, 100).count == 2)
    }
}
