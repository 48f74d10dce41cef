import Foundation
import HTTPServer
import Testing

@Suite("Connection acceptor")
struct ConnectionAcceptorTests {
    @Test("the process can connect to its own server without a network")
    func inProcessConnection() async throws {
        let server = try await serving { harness in
            for _ in 0..<3 {
                let client = Client(connected: try harness.server.connect())
                #expect(try client.ask("GET", "/hello").text == "hello")
                #expect(try client.ask("GET", "/hello").text == "hello")
            }
            #expect(harness.eventually { harness.server.activity.connectionsOpen == 0 })
            return harness.server
        }
        #expect(throws: ServerError.notServing) { try server.connect() }
    }

    @Test("connections over the limit get 503, and are served again below it")
    func connectionLimit() async throws {
        try await serving(configure: { $0.connectionsMax = 10 }) { harness in
            var clients = try (0..<10).map { _ in try harness.client() }
            for client in clients { #expect(try client.ask("GET", "/hello").status == 200) }
            for _ in 0..<20 {
                let refused = try harness.client()
                #expect(try refused.ask("GET", "/hello").status == 503)
                #expect(refused.isClosed())
            }
            #expect(harness.server.activity.connectionsRejected == 20)
            #expect(try clients[0].ask("GET", "/hello").status == 200)
            clients.removeLast(5)
            #expect(harness.eventually { harness.server.activity.connectionsOpen == 5 })
            #expect(try harness.client().ask("GET", "/hello").status == 200)
        }
    }

    @Test("the limit per address applies to each address")
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
