import HTTPServer
import HTTPTypes
import Testing

@Suite("Requests and responses")
struct ExchangeTests {
    @Test("one connection serves many requests, including rejected ones")
    func keepAlive() async throws {
        let log = Log()
        try await serving(log: log) { harness in
            let client = try harness.client()
            for _ in 0..<3 {
                #expect(try client.ask("GET", "/hello").text == "hello")
                #expect(try client.ask("GET", "/items/a%2Fb").text == "a/b")
                #expect(try client.ask("GET", "/nowhere").status == 404)
                #expect(try client.ask("DELETE", "/hello").status == 405)
                #expect(
                    try client.ask("PUT", "/items/1", fields: ["Content-Type: a/b"], body: "x")
                        .status == 415)
                #expect(try client.ask("PUT", "/items/1", body: "{}").text == "{}")
            }
        }
        let statuses = log.entries.map(\.status)
        #expect(
            statuses == Array(repeating: [200, 200, 404, 405, 415, 200], count: 3).flatMap { $0 })
        #expect(log.entries[1].route == "/items/{id}" && log.entries[2].route == nil)
    }

    @Test("pipelined requests are answered in order")
    func pipelining() async throws {
        try await serving { harness in
            let client = try harness.client()
            let requests = (0..<50).map { "GET /items/\($0) HTTP/1.1\r\nHost: a\r\n\r\n" }
            client.send(requests.joined())
            for index in 0..<50 { #expect(try client.reply().text == "\(index)") }
        }
    }

    @Test("405 and OPTIONS list the methods")
    func allow() async throws {
        try await serving { harness in
            let client = try harness.client()
            let refused = try client.ask("POST", "/hello")
            #expect(refused.status == 405 && refused.fields["allow"] == "GET, HEAD, OPTIONS")
            #expect(refused.fields["content-type"] == "application/problem+json")
            let options = try client.ask("OPTIONS", "/items/1")
            #expect(options.status == 204 && options.fields["allow"] == "GET, HEAD, OPTIONS, PUT")
            #expect(try client.ask("FROBNICATE", "/hello").status == 405)
            #expect(try client.ask("FROBNICATE", "/nowhere").status == 404)
        }
    }

    @Test("HEAD has the header of GET, including Content-Length, and no body")
    func head() async throws {
        try await serving { harness in
            let client = try harness.client()
            let head = try client.ask("HEAD", "/hello")
            #expect(head.status == 200 && head.fields["content-length"] == "5")
            #expect(try client.ask("GET", "/hello").text == "hello")
        }
    }

    @Test("authorization precedes all other checks")
    func authorization() async throws {
        let deny: HTTPServer.Authorize = { head, route in
            head.headerFields[.authorization] == nil
                ? Response(status: .unauthorized, headerFields: [.wwwAuthenticate: "Bearer"]) : nil
        }
        try await serving(authorize: deny) { harness in
            let client = try harness.client()
            let refused = try client.ask("GET", "/nowhere")
            #expect(refused.status == 401 && refused.fields["www-authenticate"] == "Bearer")
            let admitted = try client.ask("GET", "/hello", fields: ["Authorization: Bearer x"])
            #expect(admitted.text == "hello")
        }
    }

    @Test("handlers cannot set the fields that the server manages")
    func serverFields() async throws {
        let route = Route(method: .get, pattern: "/", operationID: "root") { _ in
            var response = text("abc")
            response.headerFields[.contentLength] = "7"
            response.headerFields[.transferEncoding] = "chunked"
            response.headerFields[.connection] = "close"
            response.headerFields[.eTag] = "\"1\"\r\nX: y"
            return response
        }
        try await serving([route]) { harness in
            let client = try harness.client()
            let reply = try client.ask("GET", "/")
            #expect(reply.text == "abc" && reply.fields["content-length"] == "3")
            #expect(!reply.closes && reply.fields["x"] == nil && reply.fields["date"] != nil)
            #expect(try client.ask("GET", "/").text == "abc")
        }
    }

    @Test("the connection of an HTTP/1.0 client is closed after the response")
    func http10() async throws {
        try await serving { harness in
            let client = try harness.client()
            client.send("GET /hello HTTP/1.0\r\n\r\n")
            #expect(try client.reply().text == "hello")
            #expect(client.isClosed())
        }
    }

    @Test("a handler that misses the response deadline is cancelled, and its client gets 504")
    func responseDeadline() async throws {
        let log = Log()
        try await serving(
            standardRoutes(log), log: log, configure: { $0.responseDeadlineSeconds = 1.5 }
        ) {
            let client = try $0.client()
            #expect(try client.ask("GET", "/forever").status == 504)
            #expect($0.eventually { log.notes == ["waiting", "woken"] })
            #expect(try client.ask("GET", "/hello").text == "hello")
        }
    }

    @Test("sixty-four concurrent clients get their own responses")
    func manyClients() async throws {
        let log = Log()
        try await serving(log: log, configure: { $0.threads = 2 }) { harness in
            try inParallel(64) { index in
                let client = try harness.client()
                for turn in 0..<60 {
                    let name = "\(index)-\(turn)"
                    let reply =
                        turn % 3 == 0
                        ? try client.ask("PUT", "/items/x", body: name)
                        : try client.ask("GET", "/items/\(name)")
                    #expect(reply.text == name)
                }
            }
            #expect(harness.eventually { log.entries.count == 64 * 60 })
        }
        #expect(log.entries.allSatisfy { $0.status == 200 })
    }
}
