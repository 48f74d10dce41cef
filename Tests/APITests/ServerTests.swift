import API
import HTTPServer
import HTTPTypes
import Sessions
import Telemetry
import Testing

@Suite("What operators look at, and who may")
struct ServerTests {
    @Test("Probes say whether the server lives and can work")
    func probes() async throws {
        let good = Harness()
        #expect(try await good.call(.get, "/livez").text == "{\"status\":\"ok\"}")
        #expect(try await good.call(.get, "/readyz").status == 200)
        let bad = Harness(probe: { "The disk is full." })
        #expect(try await bad.call(.get, "/livez").status == 200)
        let answer = try await bad.call(.get, "/readyz")
        #expect(answer.status == 503 && answer.problem == "not-ready")
        #expect(answer["Retry-After"] == "5")
    }

    @Test("The limits are those of the service")
    func limits() async throws {
        var limits = Limits()
        limits.parametersMax = 1000
        let answer = try await Harness(limits: limits).call(.get, "/v1/limits")
        #expect(answer.object["parameters_max"] as? Int == 1000)
        #expect(answer.object["body_bytes_max"] as? Int == 65536)
        let vector = try #require(answer.object["vector_body_bytes_max"] as? Int)
        #expect(vector > 30_000)
    }

    @Test("The interface's description is served to whoever asks, as whatever they accept")
    func document() async throws {
        let answer = try await Harness(tokens: ["t"]).call(
            .get, "/openapi.yaml", headers: ["Accept": "text/html"])
        #expect(answer.status == 200 && answer["Content-Type"] == "application/yaml")
        #expect(answer.text.hasPrefix("openapi: 3.1.0\n"))
    }

    @Test("The documentation is where the operator has it, or nowhere")
    func documentation() async throws {
        let found = try await Harness(tokens: ["t"], documentation: "/manual/").call(.get, "/docs")
        #expect(found.status == 307 && found["Location"] == "/manual/" && found.text.isEmpty)
        let missing = try await Harness().call(.get, "/docs")
        #expect(missing.status == 404 && missing.problem == "not-found")
        #expect(missing.text.contains("docs-url"))
    }

    @Test("Requests are counted by route, not by path")
    func metrics() async throws {
        let harness = Harness()
        let observe = makeObserve(metrics: harness.metrics, audit: nil)
        let route = Route(
            method: .get, pattern: "/v1/sessions/{session}", operationID: "getSession"
        ) { _ in Response(status: .ok) }
        let head = RequestHead(
            method: .get, target: "/v1/sessions/x", path: ["v1", "sessions", "x"])
        let missed = CompletedExchange(head: head, route: route, status: 404, seconds: 0.003)
        observe(missed)
        observe(missed)
        let odd = RequestHead(
            method: try #require(HTTPRequest.Method("BREW")), target: head.target, path: head.path)
        observe(CompletedExchange(head: odd, route: nil, status: 405, seconds: 0.1))
        let answer = try await harness.call(.get, "/metrics")
        #expect(answer["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8")
        let lines = Set(answer.text.split(separator: "\n").map(String.init))
        for line in [
            "lbfgsd_http_requests_total{method=\"GET\",route=\"/v1/sessions/{session}\",status=\"404\"} 2",
            "lbfgsd_http_requests_total{method=\"other\",route=\"none\",status=\"405\"} 1",
            "lbfgsd_http_request_seconds_count{method=\"GET\",route=\"/v1/sessions/{session}\"} 2",
        ] {
            #expect(lines.contains(line))
        }
    }

    @Test("A token lets a client in, and nothing else does")
    func tokens() async throws {
        let harness = Harness(tokens: ["alpha", "beta"])
        for value in ["Bearer alpha", "bearer beta", "BEARER  beta"] {
            let answer = try await harness.call(
                .get, "/v1/sessions", headers: ["Authorization": value])
            #expect(answer.status == 200, "\(value)")
        }
        for value in [
            "", "Bearer", "Bearer ", "Bearer gamma", "Bearer alph", "Bearer alphaa", "Basic alpha",
            "alpha", "Bearer alpha beta", "Bearer ALPHA",
        ] {
            let answer = try await harness.call(
                .get, "/v1/sessions", headers: ["Authorization": value])
            #expect(answer.status == 401 && answer.problem == "unauthorized", "\(value)")
            #expect(
                answer["WWW-Authenticate"] == "Bearer realm=\"lbfgsd\", error=\"invalid_token\"")
        }
        let bare = try await harness.call(.get, "/v1/sessions")
        #expect(bare.status == 401 && bare["WWW-Authenticate"] == "Bearer realm=\"lbfgsd\"")
    }

    @Test("Without a token nothing is learnt but that the server lives")
    func unadmitted() async throws {
        let harness = Harness(tokens: ["alpha"])
        for target in ["/v1/limits", "/nothing", "/v1/sessions/x"] {
            #expect(try await harness.call(.get, target).status == 401)
        }
        #expect(try await harness.call(.brew, "/v1/sessions").status == 401)
        #expect(try await harness.call(.get, "/livez").status == 200)
        #expect(try await harness.call(.get, "/readyz").status == 200)
        #expect(try await harness.call(.get, "/metrics").status == 200)
    }

    @Test("Tokens may change while the server runs, and none let nobody in")
    func noTokens() async throws {
        #expect(try await Harness(tokens: []).call(.get, "/v1/sessions").status == 401)
    }
}

extension HTTPRequest.Method {
    fileprivate static let brew = HTTPRequest.Method("BREW")!
}
