import API
import HTTPServer
import HTTPTypes
import Sessions
import Testing

@Suite("Who may call")
struct AccessTests {
    private static let loopback = AllowedHosts(
        listening: ["127.0.0.1"], configured: [], admitsAllAddresses: false)
    private static let own = ["Host": "127.0.0.1:8080"]

    private func status(
        _ method: HTTPRequest.Method, _ target: String, _ headers: [String: String],
        hosts: AllowedHosts = loopback, body: String = ""
    ) async throws -> Int {
        let answer = try await Harness(hosts: hosts).call(method, target, body, headers: headers)
        if [403, 421].contains(answer.status) { #expect(answer.problem != nil) }
        return answer.status
    }

    @Test(
        "A daemon on loopback answers to the names of loopback, with any port",
        arguments: [
            "localhost", "LocalHost:8080", "127.0.0.1", "127.0.0.1:8080", "[::1]", "[::1]:9000",
        ])
    func knownHosts(host: String) async throws {
        #expect(try await status(.get, "/v1/sessions", ["Host": host]) == 200)
    }

    @Test(
        "Any other host is 421, on every page and before anything happens",
        arguments: [
            "evil.example", "evil.example:8080", "localhost.evil.example", "localhost.",
            "127.0.0.2", "127.0.0.1.evil.example", "[::2]", "[::1", "localhost:", "localhost:x",
            "localhost:123456", "user@localhost", "localhost, evil.example", "", "0.0.0.0",
            "127.1", "2130706433",
        ])
    func unknownHosts(host: String) async throws {
        for path in ["/v1/sessions", "/readyz", "/metrics", "/nowhere"] {
            #expect(try await status(.get, path, ["Host": host]) == 421)
        }
        let harness = Harness(hosts: Self.loopback)
        let answer = try await harness.call(
            .post, "/v1/sessions", "{\"x0\": [1]}", headers: ["Host": host])
        #expect(answer.status == 421 && answer.problem == "misdirected-request")
        #expect(try await harness.store.sessionCount() == 0)
    }

    @Test("A request without Host is 421, and a target in absolute form is checked too")
    func otherForms() async throws {
        #expect(try await status(.get, "/v1/sessions", [:]) == 421)
        let foreign = "http://evil.example/v1/sessions"
        #expect(try await status(.get, foreign, Self.own) == 421)
        #expect(try await status(.get, "http://localhost/v1/sessions", Self.own) == 200)
    }

    @Test("A daemon on all addresses answers to every address, and to names that it was given")
    func wildcard() async throws {
        let hosts = AllowedHosts(
            listening: ["0.0.0.0"], configured: ["api.example", "tunnel.example:444"],
            admitsAllAddresses: true)
        for host in [
            "10.0.0.7:8080", "192.168.1.1", "[fe80::1]:80", "[2001:db8::7]", "API.example",
            "api.example:8443", "tunnel.example:444", "localhost",
        ] {
            #expect(try await status(.get, "/v1/sessions", ["Host": host], hosts: hosts) == 200)
        }
        for host in [
            "evil.example", "tunnel.example", "tunnel.example:445", "1.2.3.4.example", "1.2.3",
            "1.2.3.256", "1.2.3.4.5", "[evil.example]", "[]", "0x7f.0.0.1",
        ] {
            #expect(try await status(.get, "/v1/sessions", ["Host": host], hosts: hosts) == 421)
        }
    }

    @Test("A Unix socket has no name that a request could miss")
    func unixSocket() async throws {
        for headers in [[:], ["Host": ""], ["Host": "anything"]] {
            #expect(try await status(.get, "/v1/sessions", headers, hosts: .any) == 200)
        }
        let foreign = ["Host": "anything", "Origin": "http://evil.example"]
        #expect(try await status(.get, "/v1/sessions", foreign, hosts: .any) == 403)
    }

    @Test(
        "A page of another origin can neither read nor write",
        arguments: [
            ["Origin": "http://evil.example"], ["Origin": "null"], ["Origin": ""],
            ["Origin": "http://127.0.0.1:3000"], ["Origin": "http://127.0.0.1"],
            ["Origin": "http://127.0.0.1:8080.evil.example"],
            ["Origin": "http://127.0.0.1:8080, http://evil.example"],
            ["Origin": "file://127.0.0.1:8080"], ["Origin": "127.0.0.1:8080"],
            ["Origin": "http://localhost:8080"], ["Sec-Fetch-Site": "cross-site"],
            ["Sec-Fetch-Site": "same-site"], ["Sec-Fetch-Site": "none, cross-site"],
            ["Sec-Fetch-Site": "cross-site", "Origin": "http://127.0.0.1:8080"],
        ])
    func foreignPages(fields: [String: String]) async throws {
        let headers = fields.merging(Self.own) { $1 }
        let harness = Harness(hosts: Self.loopback)
        for (method, path) in [
            (HTTPRequest.Method.get, "/v1/sessions"), (.head, "/v1/sessions"),
            (.post, "/v1/sessions"), (.options, "/v1/sessions"), (.options, "/readyz"),
            (.post, "/metrics"), (.get, "/nowhere"), (.delete, "/v1/sessions/x"),
        ] {
            let answer = try await harness.call(method, path, headers: headers)
            #expect(answer.status == 403 && answer.problem == "foreign-origin", "\(method) \(path)")
            #expect(answer["Access-Control-Allow-Origin"] == nil)
        }
        #expect(try await harness.store.sessionCount() == 0)
        // What everybody may see, pages may see.
        for path in ["/livez", "/readyz", "/metrics", "/openapi.yaml", "/problems/busy"] {
            #expect(try await harness.call(.get, path, headers: headers).status == 200)
        }
    }

    @Test("The daemon's own pages and programs may call")
    func ownPages() async throws {
        for fields in [
            [:], ["Origin": "http://127.0.0.1:8080"], ["Origin": "HTTPS://127.0.0.1:8080"],
            ["Sec-Fetch-Site": "same-origin", "Origin": "http://127.0.0.1:8080"],
            ["Sec-Fetch-Site": "none"],
        ] {
            let headers = fields.merging(Self.own) { $1 }
            let made = try await status(.post, "/v1/sessions", headers, body: "{\"x0\": [1]}")
            #expect(made == 201, "\(fields)")
        }
        let proxied = AllowedHosts(
            listening: ["127.0.0.1"], configured: ["api.example"], admitsAllAddresses: false)
        let behind = ["Host": "127.0.0.1:8080", "Origin": "https://api.example"]
        #expect(try await status(.get, "/v1/sessions", behind, hosts: proxied) == 200)
    }

    @Test("An operator names hosts, not URLs")
    func authorities() {
        for text in ["a.example", "a_b.example:80", "10.0.0.1", "[::1]:80", "x"] {
            #expect(AllowedHosts.isAuthority(text), "\(text)")
        }
        for text in ["", "http://a", "a/b", "a:", "a:b", "*.example", "[x]", "a b", "ä"] {
            #expect(!AllowedHosts.isAuthority(text), "\(text)")
        }
    }

    @Test("A problem names the request, by the client's identifier if it can be shown")
    func requestIDs() async throws {
        let harness = Harness()
        let sent = try await harness.call(
            .get, "/nowhere", headers: ["X-Request-Id": "job-7/part.3:a+b=@_"])
        #expect(sent.object["request_id"] as? String == "job-7/part.3:a+b=@_")
        for value in ["", "a b", "a\"b", "a,b", "ä", String(repeating: "x", count: 129)] {
            let answer = try await harness.call(
                .get, "/v1/sessions/x", headers: ["X-Request-Id": value])
            let made = try #require(answer.object["request_id"] as? String)
            #expect(made != value && made.utf8.count == 15)
        }
    }
}
