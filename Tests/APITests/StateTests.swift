import HTTPTypes
import Sessions
import Testing

private let named = """
    {"params": [{"name": "w", "shape": [1, 2], "values": [1, 2]},
                {"name": "b", "shape": [], "values": [3]}]}
    """

@Suite("Parameters, state dicts and checkpoints")
struct StateTests {
    private let harness = Harness()

    @Test("Parameters that were read can be sent back, or replaced in either form")
    func parameters() async throws {
        let path = try await harness.create(named) + "/params"
        let read = try await harness.call(.get, path)
        #expect(read.status == 200 && read["ETag"] != nil)
        let same = try await harness.call(.put, path, read.text)
        // No bounds moved any.
        func projectingNone(_ text: String) -> String {
            text.replacing(",\"params\"", with: ",\"projected\":0,\"params\"")
        }
        #expect(same.status == 200 && same.text == projectingNone(read.text))
        let flat = try await harness.call(.put, path, "{\"x\": [4, 5, 6]}")
        #expect(flat.text.contains("\"values\":[4.0,5.0]}") && flat["ETag"] != read["ETag"])
        let now = try await harness.call(.get, path)
        #expect(projectingNone(now.text) == flat.text)
    }

    @Test("Parameters of another form are refused by field")
    func wrongParameters() async throws {
        let session = try await harness.create(named)
        let path = session + "/params"
        for (body, fields) in [
            ("{\"x\": [1]}", ["x"]), ("{\"dtype\": \"float32\", \"x\": [1, 2, 3]}", ["dtype"]),
            ("{\"x\": [1, 2, \"NaN\"]}", ["x"]),
            ("{\"params\": [{\"name\": \"w\", \"shape\": [2], \"values\": [1, 2]}]}", ["params.w"]),
            ("{\"params\": [{\"name\": \"w\", \"values\": [1, 2]}]}", ["params.b"]),
        ] {
            let answer = try await harness.call(.put, path, body)
            #expect(answer.status == 422 && answer.fields == fields, "\(answer.text)")
        }
        _ = try await harness.call(.post, session + "/steps")
        #expect(
            try await harness.call(.put, path, "{\"x\": [1, 2, 3]}").problem == "step-running")
    }

    @Test("A state dict moves from one session to another")
    func stateDict() async throws {
        let first = try await harness.create()
        _ = try await harness.call(.post, first + "/steps")
        try await harness.finish(first)
        let read = try await harness.call(.get, first + "/state-dict")
        #expect(read.status == 200 && read["ETag"] != nil && read.text.contains("prev_flat_grad"))
        let second = try await harness.create()
        let loaded = try await harness.call(.put, second + "/state-dict", read.text)
        #expect(loaded.status == 200 && loaded.text == read.text)
        let wrong = try await harness.call(
            .put, second + "/state-dict", "{\"state\": {}, \"param_groups\": [{\"params\": []}]}")
        #expect(wrong.fields == ["param_groups[0].params"])
    }

    @Test("A checkpoint is made, listed, looked at, gone back to, forked and deleted")
    func checkpoints() async throws {
        let path = try await harness.create()
        let begun = try await harness.call(.post, path + "/steps")
        let all = path + "/checkpoints"
        let made = try await harness.call(.post, all, "{\"name\": \"a\"}")
        #expect(made.status == 201 && made["Location"] == all + "/1")
        #expect(try await harness.call(.post, all).status == 201)
        #expect(try await harness.call(.get, all + "/1").text == made.text)
        let page = try await harness.call(.get, all + "?page_size=1")
        let token = try #require(page.object["next_page_token"] as? String)
        #expect(page["Link"] == "<\(all)?page_size=1&page_token=\(token)>; rel=\"next\"")
        let rest = try await harness.call(.get, all + "?page_token=\(token)")
        #expect(rest.text == "{\"checkpoints\":[\(made.text)],\"next_page_token\":null}")
        #expect(try await harness.call(.get, all + "/1/state-dict").text.contains("\"state\":{}"))

        try await harness.finish(path)
        let restored = try await harness.call(.post, all + "/1/restore")
        #expect(restored.status == 200 && restored["ETag"] != nil)
        #expect(restored.text.contains("\"x\":[1.0,2.0]"))
        #expect(try number(restored.object) > (try number(begun.object)))

        let forked = try await harness.call(.post, all + "/1/fork", "{\"name\": \"b\"}")
        #expect(forked.status == 201 && forked["ETag"] != nil)
        let id = try #require(path.split(separator: "/").last)
        #expect(forked.text.contains("\"origin\":{\"session\":\"\(id)\",\"checkpoint\":\"1\"}"))
        let fork = try #require(forked["Location"])
        #expect(try await harness.call(.get, fork).text == forked.text)

        #expect(try await harness.call(.delete, all + "/1").status == 204)
        for target in ["/1", "/1/state-dict"] {
            #expect(try await harness.call(.get, all + target).problem == "not-found")
        }
        for target in ["/1/restore", "/1/fork", "/x/fork"] {
            #expect(try await harness.call(.post, all + target).problem == "not-found")
        }
    }
}
