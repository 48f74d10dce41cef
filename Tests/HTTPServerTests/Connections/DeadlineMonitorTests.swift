import Foundation
import HTTPServer
import HTTPTypes
import Testing

@Suite("Deadline monitor")
struct DeadlineMonitorTests {
    /// Sends the text slowly, byte by byte. Returns the seconds until the server closed the
    /// connection, or nil if it did not.
    private static func sendSlowly(_ client: Client, _ text: String, forSeconds seconds: Double)
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

    @Test("a connection whose header arrives too slowly is closed at the header deadline")
    func slowHeader() async throws {
        try await serving(configure: { $0.headerDeadlineSeconds = 0.6 }) { harness in
            let client = try harness.client()
            let header =
                "GET /hello HTTP/1.1\r\nHost: a\r\nX: " + String(repeating: "x", count: 500)
            let seconds = try #require(Self.sendSlowly(client, header, forSeconds: 5))
            #expect(seconds > 0.5 && seconds < 4)
            #expect(harness.eventually { harness.server.activity.connectionsTimedOut == 1 })
        }
    }

    @Test("a silent connection is closed at the header deadline")
    func silence() async throws {
        try await serving(configure: { $0.headerDeadlineSeconds = 0.5 }) { harness in
            let client = try harness.client()
            #expect(!client.isClosed(withinSeconds: 0.2))
            #expect(client.isClosed(withinSeconds: 2))
        }
    }

    @Test("the header deadline applies to each request of a connection")
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
            #expect(Self.sendSlowly(client, header, forSeconds: 5) != nil)
        }
    }

    @Test("a request whose body arrives too slowly gets 408 at the body deadline")
    func slowBody() async throws {
        let log = Log()
        try await serving(log: log, configure: { $0.bodyDeadlineSeconds = 0.6 }) { harness in
            let client = try harness.client()
            client.send(
                "PUT /items/1 HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n"
            )
            let began = Date()
            for _ in 0..<60 {
                if !client.send("x") || harness.server.activity.connectionsTimedOut > 0 { break }
                usleep(50_000)
            }
            #expect(Date().timeIntervalSince(began) < 4)
            #expect(try client.reply().status == 408)
            #expect(harness.eventually { log.entries.map(\.status) == [408] })
        }
    }

    @Test("the body deadline grows with Content-Length")
    func longBody() async throws {
        let configure: (inout ServerConfiguration) -> Void = {
            $0.bodyDeadlineSeconds = 0.2
            $0.bodyBytesPerSecondMin = 400
        }
        try await serving(configure: configure) { harness in
            let client = try harness.client()
            client.send(
                "PUT /items/1 HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 2000\r\n\r\n"
            )
            for _ in 0..<10 {
                client.send(String(repeating: "x", count: 200))
                usleep(100_000)
            }
            #expect(try client.reply().status == 200)
        }
    }

    @Test("an idle connection is closed after the idle timeout")
    func idle() async throws {
        try await serving(configure: { $0.idleTimeoutSeconds = 1 }) { harness in
            let client = try harness.client()
            #expect(try client.ask("GET", "/hello").status == 200)
            #expect(client.isClosed(withinSeconds: 4))
        }
    }

    @Test("a connection whose client does not read the response is closed")
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
            #expect(harness.eventually { harness.server.activity.connectionsTimedOut == 1 })
            #expect(harness.eventually { harness.server.activity.connectionsOpen == 0 })
        }
    }

    /// A body that is copied out while it is sent, as long vectors are.
    private struct Zeros: BodySource {
        let count: Int

        func copy(from position: Int, to buffer: UnsafeMutableRawBufferPointer) -> Int {
            let copied = min(buffer.count, count - position)
            // Sound: no more than the buffer has.
            for index in 0..<copied { unsafe buffer[index] = 0 }
            return copied
        }
    }

    @Test("a client that stops reading a long response is disconnected after the stall time")
    func stalledReader() async throws {
        let route = Route(method: .get, pattern: "/", operationID: "big") { _ in
            Response(status: .ok, body: .source(Zeros(count: 64 << 20)))
        }
        try await serving([route], configure: { $0.responseStallSeconds = 2 }) { harness in
            let client = try harness.client()
            let began = Date()
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            // What the kernel's buffers take at the beginning is progress, but no reason to wait
            // for the end of a second interval.
            #expect(harness.eventually { harness.server.activity.connectionsTimedOut == 1 })
            let seconds = Date().timeIntervalSince(began)
            #expect(seconds >= 2 && seconds < 3.7, "\(seconds) s")
        }
    }
}
