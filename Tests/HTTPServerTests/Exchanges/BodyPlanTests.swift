import Foundation
import HTTPServer
import HTTPTypes
import Synchronization
import Testing

/// Bodies that a route looks at before they are sent.
@Suite("Previews")
struct PreviewTests {
    /// Keeps pieces together.
    private final class Pieces: BodySink {
        let bytes = Mutex<[UInt8]>([])

        func append(_ piece: UnsafeRawBufferPointer) {
            // Sound: the piece is there until the call returns.
            bytes.withLock { unsafe $0.append(contentsOf: piece) }
        }
    }

    private struct Repeated: BodySource {
        let byte: UInt8
        let count: Int

        func copy(from offset: Int, to room: UnsafeMutableRawBufferPointer) -> Int {
            let count = min(room.count, count - offset)
            // Sound: no more than there is room for.
            for index in 0..<count { unsafe room[index] = byte }
            return count
        }
    }

    /// `PUT /vectors/{length}` takes bodies of that length, and answers with as many bytes.
    private func route(noting log: Log, after delay: Duration = .zero) -> Route {
        Route(
            method: .put, pattern: "/vectors/{length}", operationID: "put",
            mediaTypes: ["application/json"], bodyBytesMax: 1 << 30,
            preview: { head, parameters, length in
                log.note("preview of \(length)")
                try? await Task.sleep(for: delay)
                guard parameters["length"] == "\(length)" else {
                    return .refuse(
                        Response(status: .unprocessableContent, body: .bytes(Array("no".utf8))))
                }
                return .stream(Pieces())
            }
        ) { request in
            guard let pieces = request.sink as? Pieces else {
                return Response(status: .ok, body: .bytes(request.body))
            }
            let bytes = pieces.bytes.withLock { $0 }
            return Response(
                status: .ok, body: .source(Repeated(byte: bytes[0], count: bytes.count)))
        }
    }

    private func head(_ path: Int, _ length: Int, waits: Bool = false) -> String {
        "PUT /vectors/\(path) HTTP/1.1\r\nHost: a\r\nContent-Length: \(length)\r\n"
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
        #expect(log.notes == Array(repeating: "preview of \(body.count)", count: 3))
    }

    @Test("who waits for leave is refused before anything is sent")
    func refusedBefore() async throws {
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

    @Test("who doesn't wait is refused too, and hears of it")
    func refusedWhileSending() async throws {
        try await serving([route(noting: Log())]) { harness in
            let client = try harness.client()
            client.send(head(4, 100_000))
            client.send([UInt8](repeating: 1, count: 100_000))
            #expect(try client.reply().status == 422)
            // A body within the cap is read over, and the connection goes on.
            client.send(head(4, 4, waits: false) + "body")
            #expect(try client.reply().text == "body")
        }
    }

    @Test("a small body isn't looked at, unless it is waited with")
    func small() async throws {
        let log = Log()
        try await serving([route(noting: log)]) { harness in
            let client = try harness.client()
            client.send(head(9, 4) + "body")
            #expect(try client.reply().text == "body")
        }
        #expect(log.notes.isEmpty)
    }

    @Test("a client that leaves during a preview leaves nothing behind")
    func vanished() async throws {
        try await serving([route(noting: Log(), after: .milliseconds(200))]) { harness in
            for _ in 0..<20 {
                let client = try harness.client()
                client.send(head(100_000, 100_000))
                client.resetOnClose()
            }
            #expect(harness.eventually { harness.server.activity.exchangesInFlight == 0 })
            #expect(harness.server.activity.bodyBytesInFlight == 0)
            #expect(harness.server.activity.exchangesWaiting == 0)
        }
    }

    @Test("a server stops while previews are under way")
    func stopping() async throws {
        try await serving([route(noting: Log(), after: .seconds(30))]) { harness in
            let client = try harness.client()
            client.send(head(100_000, 100_000, waits: true))
            #expect(harness.eventually { harness.server.activity.exchangesWaiting == 1 })
        }
    }
}
