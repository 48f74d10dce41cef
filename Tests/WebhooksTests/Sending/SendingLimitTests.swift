import Foundation
import Synchronization
import TestKit
import Testing
import Webhooks

/// Counts concurrent users, and the most there have been.
private final class ConcurrencyGauge: Sendable {
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

/// Waits until the condition holds, at most ten seconds.
private func waitFor(_ condition: () -> Bool) async throws {
    let end = Date().addingTimeInterval(10)
    while !condition(), Date() < end { try await Task.sleep(for: .milliseconds(5)) }
}

@Suite("Webhook sender: limits")
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
        "a silent or slow receiver fails at the total timeout",
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
            let result = try await sendOne(receiver) { $0.totalTimeoutSeconds = 0.4 }
            #expect(result == .failed(.timedOut))
        }
        // The receiver would keep it for ever; a machine that is busy adds seconds.
        #expect((0.3...30).contains(time))
    }

    @Test("a long response is read up to the limit, and its status counts")
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
            #expect(try await sendOne(receiver) == expected)
        }
        // What the two systems hold in their buffers comes on top.
        #expect(sent.withLock { $0 } < 32 << 20)
    }

    @Test(
        "an endless header fails",
        arguments: [
            ("HTTP/1.1 200 OK\r\n", "X-Field: value\r\n"), ("", "HTTP/1.1 100 Continue\r\n\r\n"),
        ])
    func longHeader(start: String, rest: String) async throws {
        let receiver = try Receiver { connection in
            connection.send(start)
            _ = connection.sendEndlessly(String(repeating: rest, count: 100))
        }
        let tooLong = WebhookFailure.transport("the response's header fields are too long")
        #expect(try await sendOne(receiver) == .failed(tooLong))
    }

    @Test("an endless header line fails")
    func longLine() async throws {
        let receiver = try Receiver { connection in
            connection.send("HTTP/1.1 200 OK\r\nX: ")
            _ = connection.sendEndlessly(String(repeating: "x", count: 4096))
        }
        #expect(isTransportFailure(try await sendOne(receiver)))
    }

    @Test("attempts beyond the concurrency limit wait")
    func concurrency() async throws {
        let gauge = ConcurrencyGauge()
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

    @Test("webhooks beyond the queue's limit are rejected")
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

    @Test("a cancelled task returns, whether it waits for a thread or runs on one")
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
