import Foundation
import HTTPServer
import Testing

/// As many connections at once as the library takes events at a time.
@Suite("Crowds")
struct CrowdTests {
    @Test("All of a crowd are answered at once, however many they are", arguments: [128, 256])
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
