import Testing
import Webhooks

@Suite("Webhook sender: forbidden targets")
struct ForbiddenTargetTests {
    @Test("a URL that isn't allowed is refused without a connection")
    func url() async throws {
        let receiver = try Receiver()
        let loopback = WebhookTargetError.addressNotAllowed(address: "127.0.0.1", range: "loopback")
        #expect(
            try await sendOne(receiver, networks: []) == .failed(.targetNotAllowed(loopback)))
        #expect(
            try await sendOne(receiver, hosts: []) == .failed(.targetNotAllowed(.disabled)))
        let notAllowed = WebhookTargetError.hostNotAllowed(
            scheme: "http", host: "127.0.0.1", port: receiver.port)
        #expect(
            try await sendOne(receiver, hosts: ["example.com"])
                == .failed(.targetNotAllowed(notAllowed)))
        #expect(receiver.connections == 0)
    }

    @Test("an allowed name is refused if it resolves to a forbidden address")
    func name() async throws {
        let receiver = try Receiver()
        let hosts = ["http://localhost:\(receiver.port)"]
        guard
            case .failed(.addressNotAllowed(let address, let range)) = try await sendOne(
                receiver, hosts: hosts, networks: ["10.0.0.0/8"], host: "localhost")
        else {
            Issue.record("the address wasn't refused")
            return
        }
        #expect(["127.0.0.1", "::1"].contains(address) && range == "loopback")
        #expect(receiver.connections == 0)
    }

    @Test("the same name is accepted if its address is allowed")
    func allowedName() async throws {
        let receiver = try Receiver()
        let hosts = ["http://localhost:\(receiver.port)"]
        let result = try await sendOne(receiver, hosts: hosts, host: "localhost")
        #expect(result == .delivered(status: 200))
        #expect(receiver.requests.first?.fields["host"] == "localhost:\(receiver.port)")
    }
}
