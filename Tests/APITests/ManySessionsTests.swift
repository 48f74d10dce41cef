import Foundation
import HTTPServer
import HTTPTypes
import Sessions
import Testing

@Suite("Many sessions at once")
struct ManySessionsTests {
    private let harness = Harness()

    private func ids(_ answer: Answer) -> [String] {
        (answer.object["sessions"] as? [[String: Any]] ?? []).compactMap { $0["id"] as? String }
    }

    @Test("A list in another order goes on by its link, and says what a session has come to")
    func ordered() async throws {
        var made: [String] = []
        for name in ["b", "a", "c"] {
            let path = try await harness.create(
                "{\"x0\": [1, 2], \"name\": \"\(name)\", \"options\": {\"mode\": \"robust\"}}")
            made.append(String(path.dropFirst("/v1/sessions/".count)))
        }
        let begun = try await harness.call(.post, "/v1/sessions/\(made[2])/steps").object
        _ = try await harness.call(
            .put, "/v1/sessions/\(made[2])/evaluations/1/result", bowl(begun))
        let first = try await harness.call(
            .get, "/v1/sessions?order_by=name&descending=true&page_size=2&mode=robust")
        #expect(ids(first) == [made[2], made[0]])
        let line = try #require((first.object["sessions"] as? [[String: Any]])?.first)
        let best = try #require(line["best"] as? [String: Any])
        #expect(best["loss"] as? Double == 2.5 && best["evaluation"] as? Int == 1)
        #expect(line["gradient_norm_inf"] as? Double == 2 && line["mode"] as? String == "robust")
        #expect(line["n"] as? Int == 2 && line["ensemble"] is NSNull)
        let link = try #require(first["Link"])
        let end = try #require(link.firstIndex(of: ">"))
        let target = String(link[link.index(after: link.startIndex)..<end])
        let next = try await harness.call(.get, target)
        #expect(next.status == 200 && ids(next) == [made[1]] && next["Link"] == nil)
        let found = try await harness.call(.get, "/v1/sessions?state=evaluating&q=C")
        #expect(ids(found) == [made[2]])
    }

    @Test("A query that can't be is refused by its name")
    func refused() async throws {
        for (query, field) in [
            ("state=running", "state"), ("mode=fast", "mode"), ("q=", "q"),
            ("order_by=loss", "order_by"), ("descending=1", "descending"),
            ("ensemble=s1", "ensemble"), ("order_by=name&page_token=AAAAAAAAAAA", "page_token"),
            ("page_token=AAAA", "page_token"),
        ] {
            let answer = try await harness.call(.get, "/v1/sessions?\(query)")
            #expect(answer.status == 422 && answer.fields == ["query.\(field)"], "\(query)")
        }
    }

    @Test("A purge deletes what it has said that it would")
    func purge() async throws {
        for name in ["null", "\"a\"", "null"] {
            _ = try await harness.create("{\"x0\": [1], \"name\": \(name)}")
        }
        let preview = try await harness.call(
            .post, "/v1/sessions:purge", "{\"unnamed\": true, \"label\": null}")
        #expect(preview.status == 200 && preview.object["count"] as? Int == 2)
        #expect((preview.object["sessions"] as? [String])?.count == 2)
        #expect(preview.object["deleted"] == nil && preview.object["more"] == nil)
        let purge = try await harness.call(
            .post, "/v1/sessions:purge", "{\"unnamed\": true, \"force\": true}")
        #expect(purge.object["deleted"] as? Int == 2 && purge.object["more"] as? Bool == false)
        #expect(ids(try await harness.call(.get, "/v1/sessions")).count == 1)
        for body in [
            "{}", "{\"force\": true}", "{\"unnamed\": false}", "{\"label\": \"a\"}",
            "{\"state\": \"gone\"}", "{\"inactive_seconds\": -1}", "{\"older\": 1}",
        ] {
            let answer = try await harness.call(.post, "/v1/sessions:purge", body)
            #expect(answer.status == 422, "\(body)")
        }
    }

    @Test("A decimated trace and one iteration's are read by their own parameters")
    func traces() async throws {
        let path = try await harness.create(
            "{\"x0\": [1, 2], \"options\": {\"line_search_fn\": \"strong_wolfe\"}}")
        _ = try await harness.call(.post, path + "/steps")
        try await harness.finish(path)
        let all = try await harness.call(.get, path + "/trace")
        let points = try #require(all.object["trace"] as? [[String: Any]])
        #expect(points.first?["accepted"] as? Bool == true && points.count >= 2)
        #expect(points.last?["slope"] is Double && points.last?["start_slope"] is Double)
        let few = try await harness.call(.get, path + "/trace?points=2")
        let decimated = try #require(few.object["decimated"] as? [String: Any])
        #expect(decimated["entries"] as? Int == points.count)
        #expect(decimated["by"] as? String == "min_max")
        #expect((few.object["trace"] as? [Any])?.count == 2)
        let one = try await harness.call(.get, path + "/trace?iteration=1")
        let trials = try #require(one.object["trace"] as? [[String: Any]])
        #expect(!trials.isEmpty && trials.allSatisfy { $0["iteration"] as? Int == 1 })
        let csv = try await harness.call(
            .get, path + "/trace?points=2", headers: ["Accept": "text/csv"])
        #expect(csv.text.hasPrefix("evaluation,step,iteration,loss,"))
        for query in [
            "points=1", "points=10001", "points=2&limit=3", "points=2&iteration=1", "step=1",
            "iteration=1&from=2", "iteration=-1",
        ] {
            let answer = try await harness.call(.get, path + "/trace?\(query)")
            #expect(answer.status == 422, "\(query)")
        }
    }

    @Test("One stream has the events of many sessions, each with whose it is")
    func events() async throws {
        let path = try await harness.create()
        let id = String(path.dropFirst("/v1/sessions/".count))
        let answer = try await harness.call(.get, "/v1/events?session=\(id)&session=\(id)")
        #expect(answer.status == 200 && answer["Content-Type"] == "text/event-stream")
        guard case .stream(let stream) = answer.response.body else { return }
        let turn = try await harness.call(.post, path + "/steps").object
        _ = try await harness.call(.put, path + "/evaluations/1/result", bowl(turn))
        _ = try await harness.call(.delete, path)
        var frames: [String] = []
        for await frame in stream.chunks {
            frames.append(String(decoding: frame, as: UTF8.self))
            if frames.count == 3 { break }
        }
        #expect(frames[0] == "retry: 1000\n\n")
        let evaluation = "{\"session\":\"\(id)\",\"evaluation\":1,"
        #expect(frames[1].hasPrefix("event: evaluation\ndata: " + evaluation))
        #expect(frames[2] == "event: deleted\ndata: {\"session\":\"\(id)\"}\n\n")
        let unknown = try await harness.call(.get, "/v1/events?session=\(id)")
        #expect(unknown.problem == "not-found")
        for query in ["session=\(id)&label=a:b", "label=a", "label=a:b&label=a:c", "all=1"] {
            #expect(try await harness.call(.get, "/v1/events?\(query)").status == 422, "\(query)")
        }
    }
}
