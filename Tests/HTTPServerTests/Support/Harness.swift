import Foundation
import HTTPServer
import HTTPTypes
import Synchronization
import TestKit

/// A server on a free port, for the length of one test.
struct Harness: Sendable {
    let server: HTTPServer
    let log: Log

    var port: Int { server.port }

    func client() throws -> Client { try Client(port: port) }

    /// Waits until the condition holds. Returns false if it does not within the time.
    func eventually(
        withinSeconds seconds: Double = 10, _ condition: () -> Bool
    ) -> Bool {
        let end = Date().addingTimeInterval(seconds)
        while !condition() {
            if Date() > end { return false }
            usleep(2000)
        }
        return true
    }
}

/// Records the exchanges that the server observed, and notes of handlers.
final class Log: Sendable {
    struct Entry: Equatable {
        var method: String
        var target: String
        var route: String?
        var status: Int
    }

    private let state = Mutex<(entries: [Entry], notes: [String])>(([], []))

    var entries: [Entry] { state.withLock { $0.entries } }
    var notes: [String] { state.withLock { $0.notes } }

    func append(_ entry: Entry) { state.withLock { $0.entries.append(entry) } }
    func note(_ text: String) { state.withLock { $0.notes.append(text) } }
}

/// Starts a server, runs `body` on its own thread, and stops the server.
///
/// `body` needs its own thread because clients block: a blocked test per core would occupy all
/// threads of the cooperative pool, on which the server's handlers may depend.
@discardableResult
func serving<Result: Sendable>(
    _ routes: [Route] = standardRoutes(Log()), log: Log = Log(),
    configure: (inout ServerConfiguration) -> Void = { _ in },
    authorize: @escaping HTTPServer.Authorize = { _, _ in nil },
    stopsAtEnd: Bool = true, hooks: EventLoopHooks = EventLoopHooks(),
    _ body: @escaping @Sendable (Harness) throws -> Result
) async throws -> Result {
    var configuration = ServerConfiguration(listen: .address(host: "127.0.0.1", port: 0))
    configuration.stopGraceSeconds = 1
    configure(&configuration)
    let server = HTTPServer(
        configuration: configuration, router: Router(routes), authorize: authorize,
        renderRejection: { rejection, _ in
            Response(
                status: rejection.status, headerFields: [.contentType: "application/problem+json"],
                body: .bytes(Array("\(rejection)".utf8)))
        },
        observe: { exchange in
            log.append(
                Log.Entry(
                    method: exchange.head.method.rawValue, target: exchange.head.target,
                    route: exchange.route?.pattern, status: exchange.status))
        }, hooks: hooks)
    try server.start()
    let harness = Harness(server: server, log: log)
    do {
        let result = try await onThread { try body(harness) }
        if stopsAtEnd { await server.stop() }
        return result
    } catch {
        await server.stop()
        throw error
    }
}

/// Runs `body` on that many threads concurrently, and waits for all.
func inParallel(_ count: Int, _ body: @escaping @Sendable (Int) throws -> Void) throws {
    let failures = Mutex<[any Error]>([])
    let group = DispatchGroup()
    for index in 0..<count {
        group.enter()
        Thread.detachNewThread {
            do { try body(index) } catch { failures.withLock { $0.append(error) } }
            group.leave()
        }
    }
    group.wait()
    if let first = failures.withLock({ $0.first }) { throw first }
}

func text(_ text: String, status: HTTPResponse.Status = .ok) -> Response {
    Response(
        status: status, headerFields: [.contentType: "text/plain"], body: .bytes(Array(text.utf8)))
}

/// The routes of most tests. Handlers write notes to the log.
func standardRoutes(_ log: Log) -> [Route] {
    [
        Route(method: .get, pattern: "/hello", operationID: "hello") { _ in text("hello") },
        Route(method: .get, pattern: "/items/{id}", operationID: "item") { request in
            text(request.pathParameters["id"] ?? "")
        },
        Route(
            method: .put, pattern: "/items/{id}", operationID: "putItem",
            mediaTypes: ["application/json", "application/octet-stream"], bodyBytesMax: 32 << 20
        ) { request in
            log.note("put \(request.body.count)")
            return Response(status: .ok, body: .bytes(request.body))
        },
        Route(method: .post, pattern: "/touch", operationID: "touch") { _ in text("touched") },
        Route(method: .get, pattern: "/forever", operationID: "forever") { _ in
            log.note("waiting")
            try? await Task.sleep(for: .seconds(3600))
            log.note("woken")
            return text("at last")
        },
        Route(method: .post, pattern: "/forever", operationID: "write") { _ in
            log.note("writing")
            for _ in 0..<100 where !Task.isCancelled {
                try? await Task.sleep(for: .milliseconds(10))
            }
            log.note(Task.isCancelled ? "write cancelled" : "written")
            return text("written")
        },
        Route(method: .get, pattern: "/uncancellable", operationID: "uncancellable") { _ in
            log.note("uncancellable")
            await withCheckedContinuation { continuation in
                DispatchQueue.global().asyncAfter(deadline: .now() + 90) { continuation.resume() }
            }
            return text("too late")
        },
    ]
}
