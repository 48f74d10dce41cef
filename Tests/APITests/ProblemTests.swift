import API
import HTTPServer
import HTTPTypes
import Sessions
import Testing

@Suite("Problems")
struct ProblemTests {
    @Test("What the server refuses is worded as a problem")
    func refusals() async throws {
        let harness = Harness()
        let none = try await harness.call(.get, "/v2/sessions")
        #expect(none.status == 404 && none.problem == "not-found")
        let method = try await harness.call(.put, "/v1/sessions")
        #expect(method.status == 405 && method.problem == "method-not-allowed")
        #expect(method["Allow"] == "GET, HEAD, OPTIONS, POST")
        let chunked = try await harness.call(.post, "/v1/sessions", framing: .chunked)
        #expect(chunked.status == 411 && chunked.problem == "length-required")
        let large = try await harness.call(
            .patch, "/v1/sessions/x", framing: .sized(1 << 40))
        #expect(large.status == 413 && large.problem == "content-too-large")
        #expect(large.object["limit"] as? Int == 65536)
        let type = try await harness.call(
            .post, "/v1/sessions", "x", headers: ["Content-Type": "text/plain"])
        #expect(type.status == 415 && type["Accept"] == "application/json")
        #expect(type.object["accepted"] as? [String] == ["application/json"])
        let needless = try await harness.call(.get, "/v1/limits", "{}")
        #expect(needless.status == 415 && needless.problem == "unsupported-media-type")
    }

    @Test(
        "Every rejection has the status that it stands for",
        arguments: [
            .malformed("x"), .notFound, .methodNotAllowed(allow: [.get]), .requestTimedOut,
            .lengthRequired, .contentTooLarge(limit: 1), .unsupportedMediaType(accepted: []),
            .headersTooLarge, .overloaded(.connections, maximum: 9, retryAfterSeconds: 3),
            .shuttingDown, .handlerTimedOut(afterSeconds: 120),
        ] as [RequestRejection])
    func everyRejection(rejection: RequestRejection) {
        let head = RequestHead(method: .get, target: "/", path: [""])
        let answer = Answer(renderRejection(rejection, head))
        #expect(answer.object["request_id"] as? String == head.requestID)
        #expect(answer.response.status == rejection.status)
        #expect(answer.problem != nil)
        #expect((answer.status == 503) == (answer["Retry-After"] != nil))
    }

    @Test("Malformed JSON is 400, JSON that is wrong 422")
    func bodies() async throws {
        let harness = Harness()
        let malformed = try await harness.call(.post, "/v1/sessions", "{\"x0\": [1,]}")
        #expect(malformed.status == 400 && malformed.problem == "malformed")
        #expect(
            malformed.object["detail"] as? String == "The body can't be read: no value at byte 10.")
        let wrong = try await harness.call(
            .post, "/v1/sessions", "{\"x0\": [1], \"options\": {\"lr\": -1}}")
        #expect(wrong.status == 422 && wrong.fields == ["options.lr"])
        #expect(try await harness.store.sessionCount() == 0)
    }

    @Test("A full disk is 507, and reading goes on")
    func storageFull() async throws {
        let harness = Harness()
        let path = try await harness.create()
        await harness.store.failWrites(1, with: .full("disk"))
        let full = try await harness.call(.post, path + "/steps")
        #expect(full.status == 507 && full.problem == "storage-full")
        #expect(try await harness.call(.get, path + "/evaluation").status == 200)
        #expect(try await harness.call(.post, path + "/steps").status == 201)
    }

    @Test("A full queue of the disk is 503, says when to repeat, and changes nothing")
    func storeOverloaded() async throws {
        let harness = Harness()
        let path = try await harness.create()
        harness.store.refuseWrites(2)
        for _ in 1...2 {
            let refused = try await harness.call(.post, path + "/steps")
            #expect(refused.status == 503 && refused.problem == "overloaded")
            #expect(refused["Retry-After"] == "1")
            #expect(refused.object["limit_name"] as? String == "waiting_writes")
        }
        let begun = try await harness.call(.post, path + "/steps")
        #expect(begun.status == 201 && begun.object["step"] as? Int == 1)
    }

    @Test("A store that fails is 500, and what it said stays inside")
    func storageFailed() async throws {
        let harness = Harness()
        let path = try await harness.create()
        await harness.store.failWrites(1, with: .failed("secret path"))
        let failed = try await harness.call(.post, path + "/steps")
        #expect(failed.status == 500 && failed.problem == "internal")
        #expect(!failed.text.contains("secret"))
    }

    @Test("A server that stops is 503")
    func shuttingDown() async throws {
        let harness = Harness()
        let path = try await harness.create()
        await harness.service.shutdown()
        let answer = try await harness.call(.get, path)
        #expect(answer.status == 503 && answer.problem == "shutting-down")
        #expect(answer["Retry-After"] != nil)
    }

    @Test("A limit on sessions is 503, and named")
    func overloaded() async throws {
        var limits = Limits()
        limits.sessionsMax = 1
        let harness = Harness(limits: limits)
        _ = try await harness.create()
        let answer = try await harness.call(.post, "/v1/sessions", "{\"x0\": [1]}")
        #expect(answer.status == 503 && answer.problem == "overloaded")
        #expect(answer.object["limit_name"] as? String == "sessions")
        #expect(answer.object["limit"] as? Int == 1)
        #expect(answer["Retry-After"] == "60")
    }
}
