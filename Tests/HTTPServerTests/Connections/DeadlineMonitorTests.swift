import Foundation
import HTTPServer
import HTTPTypes
import Testing

@Suite("Deadlines and limits")
struct DeadlineTests {
    /// Sends a byte now and then, until the server closes or the time is over.
    private static func drip(_ client: Client, _ text: String, forSeconds seconds: Double)
        -> Double?
    {
        let began = Date()
        client.setTimeout(seconds: 0.05)
        for byte in text.utf8 {
            client.send([byte])
            if client.isClosed(withinSeconds: 0.05) { return Date().timeIntervalSince(began) }
            if Date().timeIntervalSince(began) > seconds { return nil }
        }
        return nil
    }

    @Test("a header that drips is cut at its deadline")
    func slowHeader() async throws {
        try await serving(configure: { $0.headerDeadlineSeconds = 0.6 }) { harness in
            let client = try harness.client()
            let header =
                "GET /hello HTTP/1.1\r\nHost: a\r\nX: " + String(repeating: "x", count: 500)
            let seconds = try #require(Self.drip(client, header, forSeconds: 5))
            #expect(seconds > 0.5 && seconds < 4)
            #expect(harness.eventually { harness.server.activity.connectionsCut == 1 })
        }
    }

    @Test("a connection that says nothing at all is cut at the header's deadline")
    func silence() async throws {
        try await serving(configure: { $0.headerDeadlineSeconds = 0.5 }) { harness in
            let client = try harness.client()
            #expect(!client.isClosed(withinSeconds: 0.2))
            #expect(client.isClosed(withinSeconds: 2))
        }
    }

    @Test("a second request that drips is cut, and one in time is not")
    func slowSecondHeader() async throws {
        let configure: (inout ServerConfiguration) -> Void = {
            $0.headerDeadlineSeconds = 1
            $0.idleTimeoutSeconds = 2
        }
        try await serving(configure: configure) { harness in
            let client = try harness.client()
            for _ in 0..<2 {
                #expect(try client.ask("GET", "/hello").text == "hello")
                usleep(1_200_000)
            }
            let header =
                "GET /hello HTTP/1.1\r\nHost: a\r\nX: " + String(repeating: "x", count: 500)
            #expect(Self.drip(client, header, forSeconds: 5) != nil)
        }
    }

    @Test("a body that drips is cut at its deadline, with 408")
    func slowBody() async throws {
        let log = Log()
        try await serving(log: log, configure: { $0.bodyDeadlineSeconds = 0.6 }) { harness in
            let client = try harness.client()
            client.send("PUT /items/1 HTTP/1.1\r\nHost: a\r\nContent-Length: 500\r\n\r\n")
            let began = Date()
            for _ in 0..<60 {
                if !client.send("x") || harness.server.activity.connectionsCut > 0 { break }
                usleep(50_000)
            }
            #expect(Date().timeIntervalSince(began) < 4)
            #expect(try client.reply().status == 408)
            #expect(harness.eventually { log.entries.map(\.status) == [408] })
        }
    }

    @Test("a long body has the longer for it")
    func longBody() async throws {
        let configure: (inout ServerConfiguration) -> Void = {
            $0.bodyDeadlineSeconds = 0.2
            $0.bodyBytesPerSecondMin = 400
        }
        try await serving(configure: configure) { harness in
            let client = try harness.client()
            client.send("PUT /items/1 HTTP/1.1\r\nHost: a\r\nContent-Length: 2000\r\n\r\n")
            for _ in 0..<10 {
                client.send(String(repeating: "x", count: 200))
                usleep(100_000)
            }
            #expect(try client.reply().status == 200)
        }
    }

    @Test("an idle connection is closed after the idle time")
    func idle() async throws {
        try await serving(configure: { $0.idleTimeoutSeconds = 1 }) { harness in
            let client = try harness.client()
            #expect(try client.ask("GET", "/hello").status == 200)
            #expect(client.isClosed(withinSeconds: 4))
        }
    }

    @Test("a response that nobody takes is cut")
    func slowReader() async throws {
        let route = Route(method: .get, pattern: "/", operationID: "big") { _ in
            Response(status: .ok, body: .bytes([UInt8](repeating: 1, count: 64 << 20)))
        }
        let configure: (inout ServerConfiguration) -> Void = {
            $0.bodyDeadlineSeconds = 0.5
            $0.bodyBytesPerSecondMin = 1 << 30
        }
        try await serving([route], configure: configure) { harness in
            let client = try harness.client()
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(harness.eventually { harness.server.activity.connectionsCut == 1 })
            #expect(harness.eventually { harness.server.activity.connectionsOpen == 0 })
        }
    }

    @Test("over the limit of connections a client is told so, and under it again it is served")
    func connectionLimit() async throws {
        try await serving(configure: { $0.connectionsMax = 10 }) { harness in
            var clients = try (0..<10).map { _ in try harness.client() }
            for client in clients { #expect(try client.ask("GET", "/hello").status == 200) }
            for _ in 0..<20 {
                let refused = try harness.client()
                #expect(try refused.ask("GET", "/hello").status == 503)
                #expect(refused.isClosed())
            }
            #expect(harness.server.activity.connectionsRefused == 20)
            #expect(try clients[0].ask("GET", "/hello").status == 200)
            clients.removeLast(5)
            #expect(harness.eventually { harness.server.activity.connectionsOpen == 5 })
            #expect(try harness.client().ask("GET", "/hello").status == 200)
        }
    }

    @Test("one address has a limit of its own")
    func addressLimit() async throws {
        try await serving(configure: { $0.connectionsPerAddressMax = 3 }) { harness in
            let clients = try (0..<3).map { _ in try harness.client() }
            for client in clients { #expect(try client.ask("GET", "/hello").status == 200) }
            #expect(try harness.client().ask("GET", "/hello").status == 503)
            // Their connections stay open until here.
            withExtendedLifetime(clients) {}
        }
    }
}
