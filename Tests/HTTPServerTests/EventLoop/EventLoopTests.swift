import Foundation
import HTTPServer
import Testing

/// libmicrohttpd takes 128 events at a time, so exactly 128 ready connections are a special case.
@Suite("Event loop")
struct EventLoopTests {
    @Test(
        "requests on as many connections as the library takes events are all answered",
        arguments: [128, 256])
    func all(count: Int) async throws {
        try await serving { harness in
            let clients = try (0..<count).map { _ in try harness.client() }
            for round in 1...30 {
                for client in clients { client.send("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n") }
                for client in clients {
                    client.setTimeout(seconds: 10)
                    #expect(try client.reply().text == "hello", "round \(round)")
                }
            }
        }
    }
}
