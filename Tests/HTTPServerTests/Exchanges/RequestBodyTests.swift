import Foundation
import HTTPServer
import Testing

@Suite("Request bodies")
struct RequestBodyTests {
    private let octets = ["Content-Type: application/octet-stream"]

    @Test("a request may arrive byte by byte")
    func byteByByte() async throws {
        try await serving { harness in
            let client = try harness.client()
            let body = "{\"a\": 1}"
            let request =
                "PUT /items/1 HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
                + "Content-Length: \(body.utf8.count)\r\n\r\n" + body
            for _ in 0..<2 {
                for byte in request.utf8 {
                    client.send([byte])
                    usleep(500)
                }
                #expect(try client.reply().text == body)
            }
        }
    }

    @Test("twenty megabytes are received and returned unchanged")
    func big() async throws {
        var random = SystemRandomNumberGenerator()
        let body = (0..<(20 << 20) / 8).flatMap { _ in
            unsafe withUnsafeBytes(of: random.next()) { unsafe Array($0) }
        }
        try await serving { harness in
            let client = try harness.client()
            client.send(
                "PUT /items/1 HTTP/1.1\r\nHost: a\r\nContent-Type: application/octet-stream\r\n"
                    + "Content-Length: \(body.count)\r\n\r\n")
            client.send(body)
            #expect(try client.reply().body == body)
            #expect(try client.ask("GET", "/hello").text == "hello")
            #expect(harness.eventually { harness.server.activity.bodyBytesInFlight == 0 })
        }
    }

    @Test("a client that waits for 100 Continue gets it")
    func continueGranted() async throws {
        try await serving { harness in
            let client = try harness.client()
            client.send(
                "PUT /items/1 HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
                    + "Content-Type: application/json\r\n"
                    + "Content-Length: 4\r\n\r\n"
            )
            #expect(try client.reply().status == 100)
            client.send("body")
            #expect(try client.reply().text == "body")
            #expect(try client.ask("GET", "/hello").text == "hello")
        }
    }

    @Test("a rejected client gets no 100 Continue")
    func continueRefused() async throws {
        try await serving { harness in
            let cases: [(String, Int)] = [
                ("PUT /items/1 HTTP/1.1\r\nContent-Type: text/plain\r\nContent-Length: 4", 415),
                (
                    "PUT /items/1 HTTP/1.1\r\nContent-Type: application/json"
                        + "\r\nContent-Length: 999999999", 413
                ),
                ("PUT /items/1 HTTP/1.1\r\nTransfer-Encoding: chunked", 411),
                ("PUT /nowhere HTTP/1.1\r\nContent-Length: 4", 404),
                ("DELETE /items/1 HTTP/1.1\r\nContent-Length: 4", 405),
            ]
            for (request, status) in cases {
                let client = try harness.client()
                client.send(request + "\r\nHost: a\r\nExpect: 100-continue\r\n\r\n")
                let reply = try client.reply()
                #expect(reply.status == status && reply.closes)
                #expect(client.isClosed())
            }
        }
    }

    @Test("a small rejected body is discarded, and the connection is reused")
    func smallRefusedBody() async throws {
        try await serving { harness in
            let client = try harness.client()
            let body = String(repeating: "x", count: 100_000)
            let reply = try client.ask("PUT", "/nowhere", body: body)
            #expect(reply.status == 404 && !reply.closes)
            #expect(try client.ask("GET", "/hello").text == "hello")
        }
    }

    @Test("a client that sends too large a body reads 413, not a reset")
    func tooLarge() async throws {
        try await serving { harness in
            for _ in 0..<5 {
                let client = try harness.client()
                let body = [UInt8](repeating: 1, count: 40 << 20)
                client.send(
                    "PUT /items/1 HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: \(body.count)\r\n\r\n"
                )
                client.send(body)
                let reply = try client.reply()
                #expect(reply.status == 413 && reply.closes)
                #expect(reply.text == "contentTooLarge(limit: 33554432)")
            }
        }
    }

    @Test("a chunked upload gets 411, and the connection is closed")
    func chunked() async throws {
        try await serving { harness in
            let client = try harness.client()
            client.send(
                "PUT /items/1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                    + "4\r\nbody\r\n0\r\n\r\n"
            )
            let reply = try client.reply()
            #expect(reply.status == 411 && reply.closes)
            #expect(client.isClosed())
        }
    }

    @Test("bodies that together exceed the budget are rejected until memory is released")
    func budget() async throws {
        try await serving(configure: { $0.bodyBytesInFlightMax = 1000 }) { harness in
            let (first, second) = (try harness.client(), try harness.client())
            first.send(
                "PUT /items/1 HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 800\r\n\r\n"
            )
            #expect(harness.eventually { harness.server.activity.bodyBytesInFlight == 800 })
            let body = String(repeating: "x", count: 300)
            #expect(try second.ask("PUT", "/items/1", body: body).status == 503)
            first.send(String(repeating: "y", count: 800))
            #expect(try first.reply().status == 200)
            #expect(harness.eventually { harness.server.activity.bodyBytesInFlight == 0 })
            #expect(try second.ask("PUT", "/items/1", body: body).status == 200)
        }
    }

    @Test("disconnecting in the middle of a body releases its memory")
    func vanishesInBody() async throws {
        let log = Log()
        try await serving(standardRoutes(log), log: log) { harness in
            for reset in [false, true] {
                var client: Client? = try harness.client()
                client?.send(
                    "PUT /items/1 HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\nabc"
                )
                #expect(harness.eventually { harness.server.activity.bodyBytesInFlight == 1000 })
                if reset { client?.resetOnClose() }
                client = nil
                #expect(harness.eventually { harness.server.activity.bodyBytesInFlight == 0 })
            }
            #expect(harness.eventually { harness.server.activity.connectionsOpen == 0 })
            #expect(log.entries.map(\.status) == [499, 499] && log.notes.isEmpty)
        }
    }
}
