import Foundation
import Synchronization
import TestKit
import Testing
import Webhooks

private let body = Array(#"{"test": 2432232314}"#.utf8)

private func makeSender(
    _ receiver: Receiver, hosts: [String]? = nil, networks: [String] = ["127.0.0.1"],
    configure: (inout WebhookSender.Configuration) -> Void = { _ in }
) throws -> WebhookSender {
    var configuration = WebhookSender.Configuration(
        targets: try WebhookTargetPolicy(
            hosts: hosts ?? ["http://127.0.0.1:\(receiver.port)"], networks: networks),
        userAgent: "lbfgsd/1.2.3")
    configuration.nowSeconds = { 1_614_265_330 }
    configure(&configuration)
    return WebhookSender(configuration: configuration)
}

private func makeDelivery(_ url: String, body: [UInt8] = body) throws -> WebhookDelivery {
    WebhookDelivery(
        url: url, id: "msg_p5jXN8AQM9LWM0D4loKWxJek", body: body,
        secrets: [try WebhookSecret(text: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")])
}

/// One webhook to `/hook`.
private func outcome(
    _ receiver: Receiver, hosts: [String]? = nil, networks: [String] = ["127.0.0.1"],
    host: String = "127.0.0.1",
    configure: (inout WebhookSender.Configuration) -> Void = { _ in }
) async throws -> WebhookOutcome {
    defer { receiver.stop() }
    let sender = try makeSender(receiver, hosts: hosts, networks: networks, configure: configure)
    return await sender.send(try makeDelivery("http://\(host):\(receiver.port)/hook"))
}

private func isTransportFailure(_ outcome: WebhookOutcome) -> Bool {
    if case .failed(.transport(let reason)) = outcome { !reason.isEmpty } else { false }
}

@Suite("Sending")
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
            body: body)
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
        "a status decides, also without a body",
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
        #expect(try await outcome(receiver) == expected)
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
        guard case .rejected(503, let seconds?) = try await outcome(receiver) else {
            Issue.record("no time was read")
            return
        }
        #expect((90...100).contains(seconds))
    }

    @Test("a redirection is not followed", arguments: [301, 302, 303, 307, 308])
    func redirection(status: Int) async throws {
        let other = try Receiver()
        defer { other.stop() }
        let receiver = try Receiver(
            answer: respond(
                "HTTP/1.1 \(status) Moved\r\n"
                    + "Location: http://127.0.0.1:\(other.port)/\r\nContent-Length: 0\r\n\r\n"))
        let result = try await outcome(
            receiver,
            hosts: ["http://127.0.0.1:\(receiver.port)", "http://127.0.0.1:\(other.port)"])
        #expect(result == .rejected(status: status, retryAfterSeconds: nil))
        #expect(other.connections == 0)
    }

    @Test("interim answers are passed over")
    func interim() async throws {
        let text = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: </a>\r\n\r\n"
        let receiver = try Receiver(answer: respond(text + "HTTP/1.1 202 Accepted\r\n\r\n"))
        #expect(try await outcome(receiver) == .delivered(status: 202))
    }

    @Test("what is no HTTP is no answer", arguments: ["SSH-2.0-OpenSSH_9.2\r\n", "", "HTTP/1.1 "])
    func notHTTP(text: String) async throws {
        let receiver = try Receiver(answer: respond(text))
        #expect(isTransportFailure(try await outcome(receiver)))
    }

    @Test("where nobody listens nothing is sent")
    func nobody() async throws {
        let receiver = try Receiver()
        receiver.stop()
        let end = Date().addingTimeInterval(10)
        var result = WebhookOutcome.delivered(status: 200)
        while !isTransportFailure(result), Date() < end { result = try await outcome(receiver) }
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

@Suite("Where nothing is sent to")
struct RefusedTargetTests {
    @Test("a URL that isn't allowed is refused without a connection")
    func url() async throws {
        let receiver = try Receiver()
        let loopback = WebhookTargetError.addressNotAllowed(address: "127.0.0.1", range: "loopback")
        #expect(
            try await outcome(receiver, networks: []) == .failed(.targetNotAllowed(loopback)))
        #expect(
            try await outcome(receiver, hosts: []) == .failed(.targetNotAllowed(.disabled)))
        let notAllowed = WebhookTargetError.hostNotAllowed(
            scheme: "http", host: "127.0.0.1", port: receiver.port)
        #expect(
            try await outcome(receiver, hosts: ["example.com"])
                == .failed(.targetNotAllowed(notAllowed)))
        #expect(receiver.connections == 0)
    }

    @Test("an allowed name is refused for the address that it turns out to have")
    func name() async throws {
        let receiver = try Receiver()
        let hosts = ["http://localhost:\(receiver.port)"]
        guard
            case .failed(.addressNotAllowed(let address, let range)) = try await outcome(
                receiver, hosts: hosts, networks: ["10.0.0.0/8"], host: "localhost")
        else {
            Issue.record("the address wasn't refused")
            return
        }
        #expect(["127.0.0.1", "::1"].contains(address) && range == "loopback")
        #expect(receiver.connections == 0)
    }

    @Test("the same name is served once its address is allowed")
    func allowedName() async throws {
        let receiver = try Receiver()
        let hosts = ["http://localhost:\(receiver.port)"]
        let result = try await outcome(receiver, hosts: hosts, host: "localhost")
        #expect(result == .delivered(status: 200))
        #expect(receiver.requests.first?.fields["host"] == "localhost:\(receiver.port)")
    }
}

/// How many are in it, and the most that were at a time.
private final class Gauge: Sendable {
    private let state = Mutex((now: 0, most: 0))

    var most: Int { state.withLock { $0.most } }

    func enter() {
        state.withLock {
            $0.now += 1
            $0.most = max($0.most, $0.now)
        }
    }

    func leave() { state.withLock { $0.now -= 1 } }
}

/// Until the condition holds, or ten seconds are over.
private func waitFor(_ condition: () -> Bool) async throws {
    let end = Date().addingTimeInterval(10)
    while !condition(), Date() < end { try await Task.sleep(for: .milliseconds(5)) }
}

@Suite("Limits of sending")
struct SendingLimitTests {
    /// How long it took.
    private func seconds(_ body: () async throws -> Void) async throws -> Double {
        try await onThread {
            let start = ContinuousClock.now
            try await body()
            return (ContinuousClock.now - start) / .seconds(1)
        }
    }

    @Test(
        "a receiver that is silent or slow is left when the time is over",
        arguments: [
            "", "HTTP/1.1 200 OK\r\nX: ", "HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n",
        ])
    func slow(start: String) async throws {
        let receiver = try Receiver { connection in
            connection.send(start)
            if start.isEmpty { connection.waitUntilClosed() }
            _ = connection.sendEndlessly("x", everySeconds: 0.02)
        }
        let time = try await seconds {
            let result = try await outcome(receiver) { $0.totalTimeoutSeconds = 0.4 }
            #expect(result == .failed(.timedOut))
        }
        // The receiver would keep it for ever; a machine that is busy adds seconds.
        #expect((0.3...30).contains(time))
    }

    @Test("of a long answer no more than the limit is read, and its status counts")
    func longBody() async throws {
        let sent = Mutex(0)
        let chunk = String(repeating: "x", count: 16 * 1024)
        for (status, expected) in [
            (200, WebhookOutcome.delivered(status: 200)),
            (500, .rejected(status: 500, retryAfterSeconds: 7)),
        ] {
            let receiver = try Receiver { connection in
                connection.send(
                    "HTTP/1.1 \(status) X\r\nRetry-After: 7\r\nContent-Length: 99999999999\r\n\r\n")
                let count = connection.sendEndlessly(chunk)
                sent.withLock { $0 = max($0, count) }
            }
            #expect(try await outcome(receiver) == expected)
        }
        // What the two systems hold in their buffers comes on top.
        #expect(sent.withLock { $0 } < 32 << 20)
    }

    @Test(
        "an endless header is no answer",
        arguments: [
            ("HTTP/1.1 200 OK\r\n", "X-Field: value\r\n"), ("", "HTTP/1.1 100 Continue\r\n\r\n"),
        ])
    func longHeader(start: String, rest: String) async throws {
        let receiver = try Receiver { connection in
            connection.send(start)
            _ = connection.sendEndlessly(String(repeating: rest, count: 100))
        }
        let tooLong = WebhookFailure.transport("the response's header fields are too long")
        #expect(try await outcome(receiver) == .failed(tooLong))
    }

    @Test("an endless line of a header is no answer either")
    func longLine() async throws {
        let receiver = try Receiver { connection in
            connection.send("HTTP/1.1 200 OK\r\nX: ")
            _ = connection.sendEndlessly(String(repeating: "x", count: 4096))
        }
        #expect(isTransportFailure(try await outcome(receiver)))
    }

    @Test("no more are sent at a time than allowed, and the others wait")
    func concurrency() async throws {
        let gauge = Gauge()
        let receiver = try Receiver { connection in
            gauge.enter()
            usleep(50_000)
            gauge.leave()
            respond("HTTP/1.1 204 No Content\r\n\r\n")(connection)
        }
        defer { receiver.stop() }
        let sender = try makeSender(receiver) { $0.concurrentMax = 2 }
        let delivery = try makeDelivery("http://127.0.0.1:\(receiver.port)/")
        let results = await withTaskGroup(of: WebhookOutcome.self) { group in
            for _ in 0..<12 { group.addTask { await sender.send(delivery) } }
            return await group.reduce(into: []) { $0.append($1) }
        }
        #expect(results == Array(repeating: .delivered(status: 204), count: 12))
        #expect((1...2).contains(gauge.most))
        // The threads are gone by now, and come again.
        try await Task.sleep(for: .milliseconds(100))
        #expect(await sender.send(delivery) == .delivered(status: 204))
    }

    @Test("those that find the queue full are told so")
    func queue() async throws {
        // One is held by the receiver and two may wait, so that three of six are refused; when
        // they have been, the receiver lets go.
        let gate = DispatchSemaphore(value: 0)
        let receiver = try Receiver { connection in
            _ = gate.wait(timeout: .now() + 5)
            respond("HTTP/1.1 204 No Content\r\n\r\n")(connection)
        }
        defer { receiver.stop() }
        let sender = try makeSender(receiver) {
            $0.concurrentMax = 1
            $0.waitingMax = 2
        }
        let delivery = try makeDelivery("http://127.0.0.1:\(receiver.port)/")
        let first = Task(executorPreference: OwnThread()) { await sender.send(delivery) }
        let results = try await onThread {
            try await waitFor { !receiver.requests.isEmpty }
            return await withTaskGroup(of: WebhookOutcome.self) { group in
                for _ in 0..<5 { group.addTask { await sender.send(delivery) } }
                var results: [WebhookOutcome] = []
                for await result in group {
                    results.append(result)
                    if results.count == 3 { for _ in 0..<3 { gate.signal() } }
                }
                return results
            }
        }
        let overloaded = WebhookOutcome.failed(.overloaded)
        let delivered = WebhookOutcome.delivered(status: 204)
        #expect(results == [overloaded, overloaded, overloaded, delivered, delivered])
        #expect(await first.value == delivered)
    }

    @Test("a cancelled task gives up, whether it waits for a thread or has one")
    func cancellation() async throws {
        let receiver = try Receiver { $0.waitUntilClosed() }
        defer { receiver.stop() }
        let sender = try makeSender(receiver) { $0.concurrentMax = 1 }
        let delivery = try makeDelivery("http://127.0.0.1:\(receiver.port)/")
        let time = try await seconds {
            let running = Task(executorPreference: OwnThread()) { await sender.send(delivery) }
            try await waitFor { !receiver.requests.isEmpty }
            let waiting = Task(executorPreference: OwnThread()) { await sender.send(delivery) }
            try await Task.sleep(for: .milliseconds(50))
            waiting.cancel()
            #expect(await waiting.value == .failed(.cancelled))
            running.cancel()
            #expect(await running.value == .failed(.cancelled))
        }
        #expect(time < 30)
        #expect(receiver.requests.count == 1)
        let late = Task {
            try? await Task.sleep(for: .seconds(60))
            return await sender.send(delivery)
        }
        late.cancel()
        #expect(await late.value == .failed(.cancelled))
    }
}
