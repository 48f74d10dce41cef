import API
import HTTPServer
import HTTPTypes
import Sessions
import Testing

@Suite("Digests of bodies")
struct DigestTests {
    private let harness = Harness()

    private static let body = "{\"x0\": [1]}"
    private static let sha256 = "sha-256=:/yi0Uj0zGhFlP0GkZnCT4/rzHrKyiqZ/J87/fiPUVqA=:"
    private static let sha512 =
        "sha-512=:Nv6TfHTsznzh+NSU0Y2rvIrE0Gpl5FOcYna8NHG2WEw8d6Ix0g6EH7AbhiK9yPOApdmEtfk8i3jMTj6QVs"
        + "oxYg==:"
    private static let ofNothing = "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:"

    @Test(
        "that are right let it pass, and those that aren't known count for nothing",
        arguments: [
            sha256, sha512, "\(sha256), \(sha512)", "md5=:AAAA:", "md5=:AAAA:,\(sha256);a=1",
            "\(ofNothing), \(sha256)",
        ])
    func right(value: String) async throws {
        let answer = try await harness.call(
            .post, "/v1/sessions", Self.body, headers: ["Content-Digest": value])
        #expect(answer.status == 201, "\(answer.text)")
    }

    @Test(
        "that are wrong refuse it before anything changes",
        arguments: [ofNothing, "\(sha512), \(ofNothing)", "\(sha256), \(ofNothing)"])
    func wrong(value: String) async throws {
        let answer = try await harness.call(
            .post, "/v1/sessions", Self.body, headers: ["Content-Digest": value])
        #expect(answer.status == 400 && answer.problem == "digest-mismatch")
        #expect(answer.object["content_digest"] as? String == Self.ofNothing)
        #expect(answer.object["computed_digest"] as? String == Self.sha256)
        #expect(try await harness.store.sessionCount() == 0)
    }

    @Test(
        "that can't be read are malformed",
        arguments: [
            "", "sha-256", "sha-256=", "sha-256=::", "sha-256=:AAAA:", "sha-256=:A:",
            "sha-256=AAAA", "SHA-256=:AAAA:", "\(sha256),", ",", "=:AAAA:", "sha-256=\":AAAA:\"",
        ])
    func malformed(value: String) async throws {
        let answer = try await harness.call(
            .post, "/v1/sessions", Self.body, headers: ["Content-Digest": value])
        #expect(answer.status == 400 && answer.problem == "malformed")
        #expect(try await harness.store.sessionCount() == 0)
    }

    @Test("are compared for a request without a body too")
    func nothing() async throws {
        let path = try await harness.create()
        let right = try await harness.call(
            .get, path, headers: ["Content-Digest": Self.ofNothing])
        #expect(right.status == 200)
        let wrong = try await harness.call(.get, path, headers: ["Content-Digest": Self.sha256])
        #expect(wrong.problem == "digest-mismatch")
    }

    @Test(
        "are in the answer if the client wants one that there is",
        arguments: [
            ("sha-256=1", true), ("sha-256=10, md5=3", true), ("sha-256=0", false), ("", false),
            ("md5=1", false), ("sha-256=11", false), ("sha-256", false),
        ])
    func wanted(value: String, isGiven: Bool) async throws {
        let path = try await harness.create()
        let answer = try await harness.call(
            .get, path + "/evaluation", headers: ["Want-Content-Digest": value])
        let digest = answer["Content-Digest"]
        #expect((digest != nil) == isGiven)
        guard let digest else { return }
        // What it is told of is what is compared: a body with this digest passes.
        let echo = try await harness.call(
            .put, path + "/params", answer.text, headers: ["Content-Digest": digest])
        #expect(echo.problem == "invalid-request")
    }
}
