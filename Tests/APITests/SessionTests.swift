import HTTPTypes
import Sessions
import Testing

@Suite("Sessions")
struct SessionTests {
    private let harness = Harness()

    @Test("A session that is created says where it is and what it is")
    func create() async throws {
        let made = try await harness.call(
            .post, "/v1/sessions", "{\"x0\": [1, 2], \"name\": \"a\"}")
        #expect(made.status == 201)
        let id = try #require(made.object["id"] as? String)
        #expect(made["Location"] == "/v1/sessions/\(id)")
        #expect(made["Cache-Control"] == "no-store")
        let seen = try await harness.call(.get, "/v1/sessions/\(id)")
        #expect(seen.status == 200 && seen.text == made.text && seen["ETag"] == made["ETag"])
        #expect(seen["Content-Type"] == "application/json")
    }

    @Test("A change shows, and gives the session another entity tag")
    func update() async throws {
        let path = try await harness.create("{\"x0\": [1], \"name\": \"a\"}")
        let before = try await harness.call(.get, path)
        let after = try await harness.call(
            .patch, path, "{\"name\": null, \"options\": {\"lr\": 0.5}}")
        #expect(after.status == 200 && after["ETag"] != before["ETag"])
        #expect((after.object["options"] as? [String: Any])?["lr"] as? Double == 0.5)
        #expect(after.text.contains("\"name\":null"))
        #expect(try await harness.call(.get, path).text == after.text)
    }

    @Test("A session that is deleted is not found")
    func delete() async throws {
        let path = try await harness.create()
        let gone = try await harness.call(.delete, path)
        #expect(gone.status == 204 && gone.text.isEmpty)
        #expect(try await harness.call(.get, path).problem == "not-found")
        #expect(try await harness.call(.delete, path).problem == "not-found")
    }

    @Test("A list goes on by its link, keeping what was asked for")
    func list() async throws {
        for index in 0..<3 {
            _ = try await harness.create("{\"x0\": [\(index)], \"labels\": {\"a\": \"b &c\"}}")
            _ = try await harness.create()
        }
        var target = "/v1/sessions?label=a:b%20%26c&page_size=2"
        var seen: [Int] = []
        while true {
            let page = try await harness.call(.get, target)
            #expect(page.status == 200)
            seen.append((page.object["sessions"] as? [Any] ?? []).count)
            guard let link = page["Link"] else {
                #expect(page.text.contains("\"next_page_token\":null"))
                break
            }
            let end = try #require(link.firstIndex(of: ">"))
            #expect(link[end...] == ">; rel=\"next\"")
            target = String(link[..<end].dropFirst())
            let token = try #require(page.object["next_page_token"] as? String)
            #expect(target == "/v1/sessions?label=a%3Ab%20%26c&page_size=2&page_token=\(token)")
        }
        #expect(seen == [2, 1])
    }

    @Test(
        "A query that can't be meant is refused by name",
        arguments: [
            ("page_size=0", "query.page_size"), ("page_size=x", "query.page_size"),
            ("page_size=1&page_size=2", "query.page_size"), ("page_token=x", "query.page_token"),
            ("label=a", "query.label"), ("label=:b", "query.label"),
            ("pagesize=1", "query.pagesize"),
        ])
    func badQuery(query: String, field: String) async throws {
        let answer = try await harness.call(.get, "/v1/sessions?\(query)")
        #expect(answer.problem == "invalid-request" && answer.fields == [field])
    }

    @Test(
        "An identifier that can't be one names nothing",
        arguments: ["x", "s", "S00000000000000000000", "s0000000000000000000u", "%2e%2e", "a%2Fb"])
    func badIdentifier(text: String) async throws {
        #expect(try await harness.call(.get, "/v1/sessions/\(text)").problem == "not-found")
    }

    @Test("A page that is too large is refused")
    func pageSize() async throws {
        #expect(try await harness.call(.get, "/v1/sessions?page_size=1001").status == 422)
    }
}
