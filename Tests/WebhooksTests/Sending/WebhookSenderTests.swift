import Foundation
import Testing
import Webhooks

@Suite("Webhook sender")
struct WebhookSenderTests {
    @Test("a webhook is a signed POST of exactly these bytes")
    func request() async throws {
        let receiver = try Receiver()
        defer { receiver.stop() }
        let sender = try makeSender(receiver)
        let url = "http://127.0.0.1:\(receiver.port)/a/../b?token=%20x"
        #expect(await sender.send(try makeDelivery(url)) == .delivered(status: 200))
        let expected = Receiver.Request(
            line: "POST /a/../b?token=%20x HTTP/1.1",
            fields: [
                "host": "127.0.0.1:\(receiver.port)", "user-agent": "lbfgsd/1.2.3",
                "accept": "*/*", "content-type": "application/json", "content-length": "20",
                "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek", "webhook-timestamp": "1614265330",
                // The specification's own example.
                "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
            ],
            body: webhookBody)
        #expect(receiver.requests == [expected])
    }

    @Test("bodies of any length arrive", arguments: [0, 1, 70_000, WebhookDelivery.bodyBytesMax])
    func bodies(count: Int) async throws {
        let receiver = try Receiver()
        defer { receiver.stop() }
        let body = (0..<count).map { UInt8(truncatingIfNeeded: $0) }
        let delivery = try makeDelivery("http://127.0.0.1:\(receiver.port)/", body: body)
        let sender = try makeSender(receiver)
        #expect(await sender.send(delivery) == .delivered(status: 200))
        #expect(receiver.requests.map(\.body) == [body])
        #expect(receiver.requests.first?.fields["expect"] == nil)
    }

    @Test(
        "the status decides the outcome, also without a body",
        arguments: [
            ("204 No Content\r\n", .delivered(status: 204)),
            ("299 Fine\r\nContent-Length: 0\r\n", .delivered(status: 299)),
            ("400 No\r\n", .rejected(status: 400, retryAfterSeconds: nil)),
            ("410 Gone\r\n", .rejected(status: 410, retryAfterSeconds: nil)),
            ("429 Slow\r\nRetry-After: 120\r\n", .rejected(status: 429, retryAfterSeconds: 120)),
            ("503 Busy\r\nRetry-After: soon\r\n", .rejected(status: 503, retryAfterSeconds: nil)),
        ] as [(String, WebhookOutcome)])
    func statuses(head: String, expected: WebhookOutcome) async throws {
        let receiver = try Receiver(answer: respond("HTTP/1.1 \(head)\r\n"))
        #expect(try await sendOne(receiver) == expected)
    }

    @Test("Retry-After may be a date")
    func retryAfterDate() async throws {
        let formatter = DateFormatter()
        formatter.locale = Locale(identifier: "en_US_POSIX")
        formatter.timeZone = TimeZone(identifier: "GMT")
        formatter.dateFormat = "EEE, dd MMM yyyy HH:mm:ss 'GMT'"
        let date = formatter.string(from: Date().addingTimeInterval(100))
        let receiver = try Receiver(
            answer: respond("HTTP/1.1 503 Busy\r\nRetry-After: \(date)\r\n\r\n"))
        guard case .rejected(503, let seconds?) = try await sendOne(receiver) else {
            Issue.record("no time was read")
            return
        }
        #expect((90...100).contains(seconds))
    }

    @Test("a redirect is not followed", arguments: [301, 302, 303, 307, 308])
    func redirection(status: Int) async throws {
        let other = try Receiver()
        defer { other.stop() }
        let receiver = try Receiver(
            answer: respond(
                "HTTP/1.1 \(status) Moved\r\n"
                    + "Location: http://127.0.0.1:\(other.port)/\r\nContent-Length: 0\r\n\r\n"))
        let result = try await sendOne(
            receiver,
            hosts: ["http://127.0.0.1:\(receiver.port)", "http://127.0.0.1:\(other.port)"])
        #expect(result == .rejected(status: status, retryAfterSeconds: nil))
        #expect(other.connections == 0)
    }

    @Test("interim responses are skipped")
    func interim() async throws {
        let text = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: </a>\r\n\r\n"
        let receiver = try Receiver(answer: respond(text + "HTTP/1.1 202 Accepted\r\n\r\n"))
        #expect(try await sendOne(receiver) == .delivered(status: 202))
    }

    @Test(
        "a response that is not HTTP fails",
        arguments: ["SSH-2.0-OpenSSH_9.2\r\n", "", "HTTP/1.1 "])
    func notHTTP(text: String) async throws {
        let receiver = try Receiver(answer: respond(text))
        #expect(isTransportFailure(try await sendOne(receiver)))
    }

    @Test("a refused connection fails")
    func nobody() async throws {
        let receiver = try Receiver()
        receiver.stop()
        let end = Date().addingTimeInterval(10)
        var result = WebhookOutcome.delivered(status: 200)
        while !isTransportFailure(result), Date() < end { result = try await sendOne(receiver) }
        #expect(isTransportFailure(result))
    }

    @Test("a server without TLS gets nothing over https")
    func plainServer() async throws {
        let receiver = try Receiver()
        defer { receiver.stop() }
        let sender = try makeSender(receiver, hosts: ["127.0.0.1:\(receiver.port)"]) {
            $0.totalTimeoutSeconds = 1
        }
        let result = await sender.send(try makeDelivery("https://127.0.0.1:\(receiver.port)/"))
        #expect(isTransportFailure(result) || result == .failed(.timedOut))
        #expect(receiver.requests.isEmpty)
    }
}
