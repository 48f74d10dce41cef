import Foundation
import HTTPServer
import HTTPTypes
import Synchronization
import Testing

/// Routes that decide on a body before it is received.
@Suite("Body plans")
struct BodyPlanTests {
    /// A sink that collects the body.
    private final class CollectingSink: BodySink {
        let bytes = Mutex<[UInt8]>([])

        func append(_ piece: UnsafeRawBufferPointer) {
            // Sound: the piece is there until the call returns.
            bytes.withLock { unsafe $0.append(contentsOf: piece) }
        }
    }

    private struct Repeated: BodySource {
        let byte: UInt8
        let count: Int

        func copy(from offset: Int, to buffer: UnsafeMutableRawBufferPointer) -> Int {
            let count = min(buffer.count, count - offset)
            // Sound: `count` does not exceed the buffer.
            for index in 0..<count { unsafe buffer[index] = byte }
            return count
        }
    }

    /// `PUT /vectors/{length}` accepts bodies of that length and responds with as many bytes.
    private func route(noting log: Log, after delay: Duration = .zero) -> Route {
        Route(
            method: .put, pattern: "/vectors/{length}", operationID: "put",
            mediaTypes: ["application/json"], bodyBytesMax: 1 << 30,
            planBody: { head, parameters, length in
                log.note("plan for \(length)")
                try? await Task.sleep(for: delay)
                guard parameters["length"] == "\(length)" else {
                    return .reject(
                        Response(status: .unprocessableContent, body: .bytes(Array("no".utf8))))
                }
                return .stream(CollectingSink())
            }
        ) { request in
            guard let collected = request.sink as? CollectingSink else {
                return Response(status: .ok, body: .bytes(request.body))
            }
            let bytes = collected.bytes.withLock { $0 }
            return Response(
                status: .ok, body: .source(Repeated(byte: bytes[0], count: bytes.count)))
        }
    }

    private func head(_ path: Int, _ length: Int, waits: Bool = false) -> String {
        "PUT /vectors/\(path) HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: \(length)\r\n"
            + (waits ? "Expect: 100-continue\r\n" : "") + "\r\n"
    }

    @Test("a large body goes into the sink, and a source comes back", arguments: [false, true])
    func streamed(waits: Bool) async throws {
        let log = Log()
        let body = [UInt8](repeating: 7, count: 3_000_001)
        try await serving([route(noting: log, after: .milliseconds(20))]) { harness in
            let client = try harness.client()
            for _ in 0..<3 {
                client.send(head(body.count, body.count, waits: waits))
                if waits { #expect(try client.reply().status == 100) }
                client.send(body)
                #expect(try client.reply().body == body)
            }
            #expect(harness.eventually { harness.server.activity.bodyBytesInFlight == 0 })
        }
        #expect(log.notes == Array(repeating: "plan for \(body.count)", count: 3))
    }

    @Test("a client that waits for 100 Continue is rejected before it sends the body")
    func rejectedBeforeBody() async throws {
        try await serving([route(noting: Log())]) { harness in
            for length in [5, 500_000_000] {
                let client = try harness.client()
                client.send(head(4, length, waits: true))
                let reply = try client.reply()
                #expect(reply.status == 422 && reply.text == "no" && reply.closes)
            }
            #expect(harness.server.activity.bodyBytesInFlight == 0)
        }
    }

    @Test("a client that sends the body at once reads the rejection")
    func rejectedDuringBody() async throws {
        try await serving([route(noting: Log())]) { harness in
            let client = try harness.client()
            client.send(head(4, 100_000))
            client.send([UInt8](repeating: 1, count: 100_000))
            #expect(try client.reply().status == 422)
            // A short rejected body is discarded, and the connection is reused.
            client.send(head(4, 4, waits: false) + "body")
            #expect(try client.reply().text == "body")
        }
    }

    @Test("a small body is collected without a plan")
    func small() async throws {
        let log = Log()
        try await serving([route(noting: log)]) { harness in
            let client = try harness.client()
            client.send(head(9, 4) + "body")
            #expect(try client.reply().text == "body")
        }
        #expect(log.notes.isEmpty)
    }

    @Test("disconnecting while the body is planned releases everything")
    func vanished() async throws {
        try await serving([route(noting: Log(), after: .milliseconds(200))]) { harness in
            for _ in 0..<20 {
                let client = try harness.client()
                client.send(head(100_000, 100_000))
                client.resetOnClose()
            }
            #expect(harness.eventually { harness.server.activity.exchangesInFlight == 0 })
            #expect(harness.server.activity.bodyBytesInFlight == 0)
            #expect(harness.server.activity.exchangesSuspended == 0)
        }
    }

    @Test("the server stops while bodies are planned")
    func stopping() async throws {
        try await serving([route(noting: Log(), after: .seconds(30))]) { harness in
            let client = try harness.client()
            client.send(head(100_000, 100_000, waits: true))
            #expect(harness.eventually { harness.server.activity.exchangesSuspended == 1 })
        }
    }
}
