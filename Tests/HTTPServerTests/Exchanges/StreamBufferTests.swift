import Foundation
import HTTPServer
import HTTPTypes
import Synchronization
import Testing

@Suite("Stream buffer")
struct StreamBufferTests {
    /// A stream that the test pushes into, on `/events`.
    private final class Source: Sendable {
        private let continuations = Mutex<[AsyncStream<[UInt8]>.Continuation]>([])
        let ended = Atomic<Int>(0)

        var count: Int { continuations.withLock { $0.count } }

        func send(_ text: String) {
            for continuation in continuations.withLock({ $0 }) {
                continuation.yield(Array(text.utf8))
            }
        }

        func finish() {
            for continuation in continuations.withLock({ $0 }) { continuation.finish() }
        }

        var route: Route {
            Route(method: .get, pattern: "/events", operationID: "events") { _ in
                let (stream, continuation) = AsyncStream<[UInt8]>.makeStream()
                continuation.onTermination = { _ in self.ended.add(1, ordering: .relaxed) }
                self.continuations.withLock { $0.append(continuation) }
                return Response(
                    status: .ok, headerFields: [.contentType: "text/event-stream"],
                    body: .stream(ChunkStream(stream)))
            }
        }
    }

    private static let get = "GET /events HTTP/1.1\r\nHost: a\r\n\r\n"

    @Test("each chunk arrives when it is sent")
    func oneByOne() async throws {
        let source = Source()
        try await serving([source.route]) { harness in
            let client = try harness.client()
            client.send(Self.get)
            let head = try client.headerLines()
            #expect(head[0].hasSuffix("200 OK"))
            for index in 0..<5 {
                client.setTimeout(seconds: 0.05)
                #expect(throws: Client.Failure.self) { try client.chunk() }
                client.setTimeout(seconds: 10)
                source.send("data: \(index)\n\n")
                #expect(try client.chunk() == Array("data: \(index)\n\n".utf8))
            }
            source.finish()
            #expect(try client.chunk() == nil)
            // The connection can be reused.
            client.send(Self.get)
            #expect(try client.headerLines()[0].hasSuffix("200 OK"))
        }
    }

    @Test("a stream of nothing is an empty body")
    func empty() async throws {
        let route = Route(method: .get, pattern: "/", operationID: "empty") { _ in
            Response(status: .ok, body: .stream(ChunkStream(AsyncStream { $0.finish() })))
        }
        try await serving([route]) { harness in
            let client = try harness.client()
            for _ in 0..<20 { #expect(try client.ask("GET", "/").body.isEmpty) }
        }
    }

    @Test(
        "an idle stream ends when its client disconnects", arguments: [true, false])
    func vanishes(byReset: Bool) async throws {
        let source = Source()
        try await serving([source.route]) { harness in
            var client: Client? = try harness.client()
            client?.send(Self.get)
            _ = try client?.headerLines()
            #expect(harness.eventually { harness.server.activity.exchangesSuspended == 1 })
            if byReset { client?.resetOnClose() }
            client = nil
            #expect(harness.eventually { source.ended.load(ordering: .relaxed) == 1 })
            #expect(harness.eventually { harness.server.activity.exchangesInFlight == 0 })
        }
    }

    @Test("HEAD on a stream sends the header and drops the stream")
    func head() async throws {
        let source = Source()
        try await serving([source.route]) { harness in
            let client = try harness.client()
            #expect(try client.ask("HEAD", "/events").status == 200)
            #expect(harness.eventually { source.ended.load(ordering: .relaxed) == 1 })
            #expect(try client.rest().isEmpty)
        }
    }

    @Test("an HTTP/1.0 client gets the stream without chunked coding")
    func http10() async throws {
        let source = Source()
        try await serving([source.route]) { harness in
            let client = try harness.client()
            client.send("GET /events HTTP/1.0\r\n\r\n")
            #expect(harness.eventually { source.count == 1 })
            source.send("abc")
            source.finish()
            #expect(try client.reply().text == "abc")
        }
    }

    @Test("a pulled stream does not run ahead of its client")
    func pulled() async throws {
        let (counter, total) = (Counter(), 800)
        let route = Route(method: .get, pattern: "/events", operationID: "list") { _ in
            Response(
                status: .ok,
                body: .stream(
                    ChunkStream(
                        AsyncStream(unfolding: {
                            await counter.next(below: total)
                                ? [UInt8](repeating: 1, count: 65_536) : nil
                        }))))
        }
        try await serving([route]) { harness in
            let client = try harness.client()
            client.send(Self.get)
            _ = try client.headerLines()
            usleep(300_000)
            // The stream buffer and the socket buffers hold this many chunks at most.
            #expect(counter.count < 300)
            var count = 0
            while let chunk = try client.chunk() { count += chunk.count }
            #expect(count == total * 65_536)
        }
    }

    private final class Counter: Sendable {
        private let value = Atomic<Int>(0)
        var count: Int { value.load(ordering: .relaxed) }
        func next(below limit: Int) async -> Bool {
            value.add(1, ordering: .relaxed).newValue <= limit
        }
    }

    @Test("a client that does not read is disconnected, and its stream ends")
    func stalled() async throws {
        let source = Source()
        let configure: (inout ServerConfiguration) -> Void = {
            $0.streamBufferBytesMax = 64 * 1024
            $0.streamStallSeconds = 0.5
        }
        try await serving([source.route], configure: configure) { harness in
            let client = try harness.client()
            client.send(Self.get)
            _ = try client.headerLines()
            let piece = String(repeating: "x", count: 65_536)
            for _ in 0..<400 { source.send(piece) }
            #expect(harness.eventually { source.ended.load(ordering: .relaxed) == 1 })
            #expect(harness.eventually { harness.server.activity.connectionsOpen == 0 })
            #expect(harness.server.activity.connectionsTimedOut == 1)
        }
    }
}
