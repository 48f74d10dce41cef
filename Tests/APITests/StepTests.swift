import HTTPTypes
import Sessions
import Testing

@Suite("Steps and evaluations")
struct StepTests {
    private let harness = Harness()

    @Test("A step is begun, asked, told and looked at")
    func step() async throws {
        let path = try await harness.create()
        let begun = try await harness.call(.post, path + "/steps")
        #expect(begun.status == 201 && begun["Location"] == path + "/steps/1")
        #expect(begun["ETag"] != nil)
        let asked = try await harness.call(.get, path + "/evaluation")
        #expect(asked.status == 200 && asked.text == begun.text && asked["ETag"] == begun["ETag"])
        let running = try await harness.call(.get, path + "/steps/1")
        #expect(running.object["state"] as? String == "running")
        try await harness.finish(path)
        let idle = try await harness.call(.get, path + "/evaluation")
        #expect(idle.object["state"] as? String == "idle")
        let ended = try await harness.call(.get, path + "/steps/1")
        #expect(ended.object["state"] as? String == "ended")
        #expect(try await harness.call(.get, path + "/steps/2").problem == "not-found")
        #expect(try await harness.call(.get, path + "/steps/0").problem == "not-found")
        #expect(try await harness.call(.get, path + "/steps/01").problem == "not-found")
        let huge = path + "/steps/99999999999999999999"
        #expect(try await harness.call(.get, huge).problem == "not-found")
    }

    @Test("One step runs at a time, and only a running one can be stopped")
    func conflicts() async throws {
        let path = try await harness.create()
        #expect(try await harness.call(.post, path + "/stop").problem == "no-step-running")
        _ = try await harness.call(.post, path + "/steps", "{}")
        let second = try await harness.call(.post, path + "/steps")
        #expect(second.status == 409 && second.problem == "step-running")
        #expect(second.object["step"] as? Int == 1)
        let stopped = try await harness.call(.post, path + "/stop", "{}")
        #expect(stopped.status == 200 && stopped.object["state"] as? String == "idle")
    }

    @Test("The same result told again changes nothing; another one is refused")
    func toldTwice() async throws {
        let path = try await harness.create()
        _ = try await harness.call(.post, path + "/steps")
        let result = path + "/evaluations/1/result"
        let told = "{\"loss\": 2.5, \"gradient\": [1, 2]}"
        let first = try await harness.call(.put, result, told)
        #expect(first.status == 200 && first["Idempotent-Replayed"] == nil)
        let again = try await harness.call(.put, result, told)
        #expect(again.status == 200 && again["Idempotent-Replayed"] == "true")
        #expect(again.text == first.text)
        let other = try await harness.call(
            .put, result, "{\"loss\": 2.5, \"gradient\": [1, 3]}")
        #expect(other.status == 409 && other.problem == "already-told")
        #expect(other.object["evaluation"] as? Int == 1)
    }

    @Test("A result for an evaluation that isn't pending is told so, with the one that is")
    func notPending() async throws {
        let path = try await harness.create()
        let told = "{\"loss\": 1, \"gradient\": [1, 2]}"
        let early = try await harness.call(.put, path + "/evaluations/1/result", told)
        #expect(early.status == 404 && early.problem == "evaluation-not-reached")
        #expect(early.object["pending_evaluation"] == nil)
        _ = try await harness.call(.post, path + "/steps")
        let later = try await harness.call(.put, path + "/evaluations/7/result", told)
        #expect(later.problem == "evaluation-not-reached")
        #expect(later.object["evaluation"] as? Int == 7)
        #expect(later.object["pending_evaluation"] as? Int == 1)
        _ = try await harness.call(.post, path + "/stop")
        let closed = try await harness.call(.put, path + "/evaluations/1/result", told)
        #expect(closed.status == 410 && closed.problem == "evaluation-closed")
        for number in ["0", "-1", "x", "1.0"] {
            let none = try await harness.call(.put, path + "/evaluations/\(number)/result", told)
            #expect(none.status == 404 && none.problem == "not-found")
        }
    }

    @Test("A result that doesn't fit is refused by field, and the turn stays")
    func wrongResult() async throws {
        let path = try await harness.create()
        let begun = try await harness.call(.post, path + "/steps")
        for (body, field) in [
            ("{\"loss\": 1, \"gradient\": [1]}", "gradient"),
            ("{\"loss\": 1, \"gradients\": {\"w\": [1, 2]}}", "gradients.w"),
            ("{\"loss\": 1}", "gradient"), ("[]", "body"),
        ] {
            let answer = try await harness.call(.put, path + "/evaluations/1/result", body)
            #expect(answer.status == 422 && answer.fields == [field], "\(body)")
        }
        #expect(try await harness.call(.put, path + "/evaluations/1/result").status == 400)
        #expect(try await harness.call(.get, path + "/evaluation").text == begun.text)
    }

    @Test("A wait ends when a step begins, and says what was granted")
    func longPoll() async throws {
        let path = try await harness.create()
        async let waiting = harness.call(
            .get, path + "/evaluation", headers: ["Prefer": "respond-async, wait=20"])
        try await Task.sleep(for: .milliseconds(50))
        let begun = try await harness.call(.post, path + "/steps")
        let woken = try await waiting
        #expect(woken.text == begun.text && woken["Preference-Applied"] == "wait=20")
    }

    @Test(
        "A wait is read as the standard says, and is never too long",
        arguments: [
            ("wait=99999999999999999999", "wait=30"), ("WAIT = \"31\"; a=b", "wait=30"),
            ("wait=2.5", nil), ("wait=-1", nil), ("wait", nil), ("", nil), ("handling=strict", nil),
        ] as [(String, String?)])
    func prefer(value: String, applied: String?) async throws {
        let path = try await harness.create()
        _ = try await harness.call(.post, path + "/steps")
        let answer = try await harness.call(
            .get, path + "/evaluation", headers: ["Prefer": value])
        #expect(answer.status == 200 && answer["Preference-Applied"] == applied)
    }
}
