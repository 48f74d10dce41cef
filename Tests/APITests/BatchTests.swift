import HTTPTypes
import Sessions
import Testing

@Suite("Batches")
struct BatchTests {
    private let path = "/v1/evaluations:batch"

    private func id(_ session: String) -> String {
        String(session.dropFirst("/v1/sessions/".count))
    }

    private func tell(_ session: String, _ number: Int, _ loss: Double) -> String {
        "{\"session\": \"\(id(session))\", \"number\": \(number), \"loss\": \(loss), "
            + "\"gradient\": [1, 2]}"
    }

    private func batch(_ items: String...) -> String {
        "{\"evaluations\": [\(items.joined(separator: ", "))]}"
    }

    private func results(_ answer: Answer) -> [[String: Any]] {
        answer.object["results"] as? [[String: Any]] ?? []
    }

    @Test("Each item does what a call of its own would, in the order of the list")
    func items() async throws {
        let harness = Harness()
        var sessions: [String] = []
        for _ in 0..<3 {
            let session = try await harness.create()
            _ = try await harness.call(.post, session + "/steps")
            sessions.append(session)
        }
        let answer = try await harness.call(
            .post, path,
            batch(
                tell(sessions[0], 1, 2.5), tell(sessions[1], 2, 2.5),
                "{\"session\": \"\(id(sessions[2]))\"}", tell(sessions[0], 1, 2.5),
                tell(sessions[0], 1, 3.5)))
        #expect(answer.status == 200 && answer["Cache-Control"] == "no-store")
        let results = results(answer)
        #expect(results.map { $0["status"] as? Int } == [200, 404, 200, 200, 409])
        #expect(
            results.map { $0["session"] as? String } == [0, 1, 2, 0, 0].map { id(sessions[$0]) })
        #expect(results.map { $0["replayed"] as? Bool } == [nil, nil, nil, true, nil])
        let turn = try await harness.call(.get, sessions[0] + "/evaluation")
        let told = try #require(results[0]["turn"] as? [String: Any])
        #expect(try number(told) == number(turn.object))
        let problem = try #require(results[4]["problem"] as? [String: Any])
        #expect(problem["type"] as? String == "/problems/already-told")
    }

    @Test("What can't be read refuses the whole, and names the place")
    func malformed() async throws {
        let harness = Harness()
        let session = try await harness.create()
        _ = try await harness.call(.post, session + "/steps")
        let begun = try await harness.call(.get, session + "/evaluation")
        for (item, field) in [
            ("{}", "session"), ("{\"session\": 1}", "session"),
            ("{\"session\": \"s\", \"number\": 1}", "loss"),
            ("{\"session\": \"s\", \"loss\": 1, \"gradient\": []}", "number"),
            ("{\"session\": \"s\", \"number\": 1, \"loss\": 1}", "gradient"),
            ("{\"session\": \"s\", \"number\": 1, \"loss\": 1, \"gradient\": 1}", "gradient"),
        ] {
            let answer = try await harness.call(.post, path, batch(tell(session, 1, 2.5), item))
            #expect(answer.status == 422 && answer.fields == ["evaluations[1].\(field)"])
        }
        #expect(try await harness.call(.get, session + "/evaluation").text == begun.text)
    }

    @Test("Items are limited, and so are the numbers that answer them")
    func limits() async throws {
        var limits = Limits()
        limits.batchItemsMax = 3
        limits.batchNumbersMax = 5
        let harness = Harness(limits: limits)
        let session = try await harness.create()
        let ask = "{\"session\": \"\(id(session))\"}"
        let many = try await harness.call(.post, path, batch(ask, ask, ask, ask))
        #expect(many.status == 422 && many.fields == ["evaluations"])
        let answer = try await harness.call(.post, path, batch(ask, ask, ask))
        #expect(results(answer).map { $0["status"] as? Int } == [200, 200, 422])
    }

    @Test("A batch needs a token as its calls do")
    func tokens() async throws {
        let harness = Harness(tokens: ["0123456789abcdef"])
        #expect(try await harness.call(.post, path, batch()).problem == "unauthorized")
        let headers = ["Authorization": "Bearer 0123456789abcdef"]
        #expect(try await harness.call(.post, path, batch(), headers: headers).status == 200)
    }
}
