import Foundation
import HTTPServer
import HTTPTypes
import TestKit
import Testing

@Suite("Stopping the server")
struct ServerStopTests {
    private func secondsToStop(_ server: HTTPServer) async -> Double {
        await onThread {
            let began = ContinuousClock.now
            await server.stop()
            return (ContinuousClock.now - began) / .seconds(1)
        }
    }

    @Test("two hundred long-polls do not delay the stop")
    func longPolls() async throws {
        let log = Log()
        let (server, clients) = try await serving(standardRoutes(log), stopsAtEnd: false) {
            harness in
            let clients = try (0..<200).map { _ in
                let client = try harness.client()
                client.send("GET /forever HTTP/1.1\r\nHost: a\r\n\r\n")
                return client
            }
            #expect(harness.eventually { harness.server.activity.exchangesSuspended == 200 })
            return Unchecked((harness.server, clients))
        }.value
        #expect(await secondsToStop(server) < 4)
        let replies = Unchecked(clients)
        try await onThread {
            for client in replies.value {
                let reply = try client.reply()
                #expect(reply.text == "at last" && reply.closes)
                #expect(client.isClosed())
            }
        }
        #expect(log.notes.filter { $0 == "woken" }.count == 200)
        #expect(server.activity.exchangesSuspended == 0 && server.activity.connectionsOpen == 0)
    }

    @Test("the client of a handler that ignores cancellation gets 503")
    func uncancellable() async throws {
        let log = Log()
        let (server, client) = try await serving(
            standardRoutes(log), configure: { $0.stopGraceSeconds = 0.4 }, stopsAtEnd: false
        ) { harness in
            let client = try harness.client()
            client.send("GET /uncancellable HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(harness.eventually { log.notes == ["uncancellable"] })
            return Unchecked((harness.server, client))
        }.value
        #expect(await secondsToStop(server) < 5)
        let reply = try client.reply()
        #expect(reply.status == 503)
        #expect(reply.text == "shuttingDown")
    }

    @Test("a write in flight is completed before the server stops")
    func write() async throws {
        let log = Log()
        let (server, client) = try await serving(
            standardRoutes(log), configure: { $0.stopGraceSeconds = 60 }, stopsAtEnd: false
        ) { harness in
            let client = try harness.client()
            client.send("POST /forever HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(harness.eventually { log.notes == ["writing"] })
            return Unchecked((harness.server, client))
        }.value
        await server.stop()
        #expect(try client.reply().text == "written")
        #expect(log.notes == ["writing", "written"])
    }

    @Test("streams end with a complete chunked body")
    func streams() async throws {
        let route = Route(method: .get, pattern: "/", operationID: "events") { _ in
            let (stream, continuation) = AsyncStream<[UInt8]>.makeStream()
            continuation.yield(Array("first".utf8))
            // Held by the task, so that the stream stays open.
            Task {
                try? await Task.sleep(for: .seconds(20))
                continuation.finish()
            }
            return Response(status: .ok, body: .stream(ChunkStream(stream)))
        }
        let (server, client) = try await serving([route], stopsAtEnd: false) { harness in
            let client = try harness.client()
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            _ = try client.headerLines()
            #expect(try client.chunk() == Array("first".utf8))
            return Unchecked((harness.server, client))
        }.value
        #expect(await secondsToStop(server) < 3)
        #expect(try client.chunk() == nil)
    }

    @Test("stop may be called repeatedly, concurrently, and before the start")
    func twice() async throws {
        try await serving { harness in
            let reply = try harness.client().ask("GET", "/hello")
            #expect(reply.status == 200)
        }
        let server = HTTPServer(
            configuration: ServerConfiguration(listen: .address(host: "127.0.0.1", port: 0)),
            router: Router([]))
        await server.stop()
        #expect(throws: ServerError.alreadyStarted) { try server.start() }
        let other = HTTPServer(
            configuration: ServerConfiguration(listen: .address(host: "127.0.0.1", port: 0)),
            router: Router([]))
        try other.start()
        async let first: Void = other.stop()
        async let second: Void = other.stop()
        _ = await (first, second)
        await other.stop()
        other.quiesce()
    }

    @Test("idle connections end at the stop, and a request on the way is answered")
    func idle() async throws {
        let log = Log()
        let (server, idle, late) = try await serving(
            standardRoutes(log), configure: { $0.stopGraceSeconds = 60 }, stopsAtEnd: false
        ) { harness in
            let idle = try harness.client()
            #expect(try idle.ask("GET", "/hello").closes == false)
            let late = try harness.client()
            late.send("GET /hello HTTP/1.1\r\nHost: a\r\n")
            #expect(harness.eventually { harness.server.activity.connectionsOpen == 2 })
            usleep(50_000)
            return (harness.server, Unchecked(idle), Unchecked(late))
        }
        let stopping = Task { await server.stop() }
        await onThread { #expect(idle.value.isClosed()) }
        late.value.send("\r\n")
        let reply = try await onThread { Unchecked(try late.value.reply()) }.value
        // A connection in the middle of a header is neither idle nor in flight.
        #expect(reply.status == 200 && reply.closes)
        await stopping.value
    }

    @Test("after quiesce, open connections are served and new ones refused")
    func quiesce() async throws {
        try await serving { harness in
            let client = try harness.client()
            #expect(try client.ask("GET", "/hello").status == 200)
            harness.server.quiesce()
            harness.server.quiesce()
            #expect(harness.eventually { (try? Client(port: harness.port)) == nil })
            let last = try client.ask("GET", "/hello")
            #expect(last.status == 200 && last.closes)
            #expect(client.isClosed())
        }
    }

    @Test("starting and stopping under load never aborts the process")
    func underLoad() async throws {
        let log = Log()
        for round in 0..<10 {
            let server = try await serving(
                standardRoutes(log), configure: { $0.threads = 1 + round % 2 }, stopsAtEnd: false
            ) { harness in
                for index in 0..<8 {
                    Thread.detachNewThread {
                        while let client = try? harness.client() {
                            let path = index % 4 == 0 ? "/forever" : "/hello"
                            while (try? client.ask("GET", path))?.closes == false {}
                        }
                    }
                }
                usleep(30_000)
                return harness.server
            }
            await server.stop()
            #expect(server.activity.exchangesSuspended == 0)
        }
    }
}

/// Carries test clients from one thread to another, one at a time.
struct Unchecked<Value>: @unchecked Sendable {
    let value: Value
    init(_ value: Value) { self.value = value }
}
