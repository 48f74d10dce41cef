import HTTPTypes
import Sessions
import Testing

@Suite("Header fields")
struct HeaderTests {
    private let harness = Harness()

    @Test(
        "A write is carried out only in the state that If-Match names",
        arguments: [
            ("*", 200), ("TAG", 200), ("\"other\", TAG", 200), ("\"a,b\" ,\tTAG", 200),
            ("W/TAG", 412), ("\"other\"", 412), ("\"\"", 412), ("nonsense", 400), ("", 400),
            ("\"open", 400), ("\"a\" \"b\"", 400), ("\"a\",", 400), ("W/", 400), ("w/TAG", 400),
        ])
    func ifMatch(value: String, status: Int) async throws {
        let path = try await harness.create("{\"x0\": [1], \"name\": \"a\"}")
        let tag = try #require(try await harness.call(.get, path)["ETag"])
        let headers = ["If-Match": value.replacing("TAG", with: tag)]
        let answer = try await harness.call(
            .patch, path, "{\"name\": \"b\"}", headers: headers)
        #expect(answer.status == status)
        if status == 412 {
            #expect(answer.problem == "precondition-failed")
            #expect(answer.object["current"] as? String == tag)
        }
        let name = try await harness.call(.get, path).object["name"] as? String
        #expect(name == (status == 200 ? "b" : "a"))
    }

    @Test("If-Match holds for every write, POST included")
    func ifMatchEverywhere() async throws {
        let path = try await harness.create()
        _ = try await harness.call(.post, path + "/checkpoints")
        let stale = ["If-Match": "\"stale\""]
        for (method, target, body) in [
            (.post, "/steps", ""), (.put, "/params", "{\"x\": [1, 2]}"),
            (.put, "/state-dict", "{\"state\": {}, \"param_groups\": [{\"params\": [0]}]}"),
            (.post, "/checkpoints", ""), (.post, "/checkpoints/1/restore", ""),
            (.post, "/checkpoints/1/fork", ""), (.delete, "/checkpoints/1", ""), (.delete, "", ""),
        ] as [(HTTPRequest.Method, String, String)] {
            let answer = try await harness.call(method, path + target, body, headers: stale)
            #expect(answer.problem == "precondition-failed", "\(method) \(target)")
        }
        let create = try await harness.call(
            .post, "/v1/sessions", "{\"x0\": [1]}", headers: stale)
        #expect(create.problem == "precondition-failed")
        _ = try await harness.call(.post, path + "/steps")
        for (method, target) in [
            (.put, "/evaluations/1/result"), (.post, "/stop"),
        ] as [(HTTPRequest.Method, String)] {
            let body = method == .put ? "{\"loss\": 1, \"gradient\": [1, 2]}" : ""
            let answer = try await harness.call(method, path + target, body, headers: stale)
            #expect(answer.problem == "precondition-failed", "\(method) \(target)")
        }
    }

    @Test(
        "A read that would show nothing new is 304",
        arguments: ["", "/evaluation", "/params", "/state-dict"])
    func ifNoneMatch(target: String) async throws {
        let session = try await harness.create()
        let tag = try #require(try await harness.call(.get, session + target)["ETag"])
        for value in [tag, "W/\(tag)", "\"other\", \(tag)", "*"] {
            let answer = try await harness.call(
                .get, session + target, headers: ["If-None-Match": value])
            #expect(answer.status == 304 && answer["ETag"] == tag && answer.text.isEmpty)
        }
        for value in ["\"other\"", "nonsense"] {
            let answer = try await harness.call(
                .get, session + target, headers: ["If-None-Match": value])
            #expect(answer.status == 200)
        }
    }

    @Test("A POST with a key is carried out once")
    func idempotencyKey() async throws {
        let key = ["Idempotency-Key": "k-1"]
        let first = try await harness.call(.post, "/v1/sessions", "{\"x0\": [1]}", headers: key)
        let again = try await harness.call(.post, "/v1/sessions", "{\"x0\": [1]}", headers: key)
        #expect(first["Idempotent-Replayed"] == nil && again["Idempotent-Replayed"] == "true")
        #expect(again.status == 201 && again["Location"] == first["Location"])
        let other = try await harness.call(.post, "/v1/sessions", "{\"x0\": [2]}", headers: key)
        #expect(other.status == 422 && other.problem == "idempotency-key-reused")
        let path = try #require(first["Location"])
        for target in [
            "/steps", "/stop", "/checkpoints", "/checkpoints/1/restore", "/checkpoints/1/fork",
        ] {
            let one = try await harness.call(.post, path + target, headers: key)
            let two = try await harness.call(.post, path + target, headers: key)
            #expect(one.status < 300 && two.status == one.status, "\(target) \(two.text)")
            #expect(one["Idempotent-Replayed"] == nil && two["Idempotent-Replayed"] == "true")
            #expect(one["Location"] == two["Location"])
        }
    }

    @Test("A key has visible ASCII characters", arguments: ["", "a b", "\u{e9}", "\t"])
    func badKey(key: String) async throws {
        let answer = try await harness.call(
            .post, "/v1/sessions", "{\"x0\": [1]}", headers: ["Idempotency-Key": key])
        #expect(answer.status == 400 && answer.problem == "malformed")
        let long = try await harness.call(
            .post, "/v1/sessions", "{\"x0\": [1]}",
            headers: ["Idempotency-Key": String(repeating: "k", count: 256)])
        #expect(long.status == 400)
    }

    @Test(
        "The form of an answer is the one that the client likes best",
        arguments: [
            (nil, "application/json"), ("*/*", "application/json"), ("text/*", "text/csv"),
            ("text/csv", "text/csv"), ("application/x-ndjson", "application/x-ndjson"),
            ("text/csv;q=0.5, application/x-ndjson;q=0.6", "application/x-ndjson"),
            ("*/*, application/json;q=0", "text/csv"), ("TEXT/CSV ; Q=1.0", "text/csv"),
            ("application/*;q=0.2, text/csv;q=0.1", "application/json"),
            ("text/html, */*;q=0.1", "application/json"), ("a/b;c=\"d,e/f\", text/csv", "text/csv"),
            ("nonsense, text/csv;q=2, application/json;q=0.001", "application/json"),
        ] as [(String?, String)])
    func accept(value: String?, type: String) async throws {
        let path = try await harness.create() + "/trace"
        let answer = try await harness.call(
            .get, path, headers: value.map { ["Accept": $0] } ?? [:])
        #expect(answer.status == 200 && answer["Vary"] == "Accept")
        #expect(answer["Content-Type"]?.split(separator: ";").first.map(String.init) == type)
    }

    @Test(
        "A form that can't be had is refused, and nothing happens",
        arguments: ["text/html", "application/json;q=0", "*/*;q=0", "nonsense", "*/json"])
    func notAcceptable(value: String) async throws {
        let answer = try await harness.call(
            .post, "/v1/sessions", "{\"x0\": [1]}", headers: ["Accept": value])
        #expect(answer.status == 406 && answer.problem == "not-acceptable")
        #expect(answer.object["available"] as? [String] == ["application/json"])
        #expect(try await harness.store.sessionCount() == 0)
    }
}
