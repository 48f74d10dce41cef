import Foundation
import HTTPServer
import HTTPTypes
import Testing

@Suite("Listening sockets")
struct ListeningSocketTests {
    /// A socket as a service manager hands it over: bound and listening.
    private func unixListener(_ path: String) -> Int32 {
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        var address = unixAddress(path)
        _ = unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        listen(descriptor, 16)
        return descriptor
    }

    @Test("connections that arrive between two servers wait in the inherited socket")
    func inheritedUnixSocket() async throws {
        let path = "/tmp/http-\(UUID().uuidString.prefix(8)).sock"
        let listener = unixListener(path)
        defer {
            close(listener)
            unsafe unlink(path)
        }
        let first = try await serving(
            configure: { $0.listen = .inherited(fileDescriptor: listener) }, stopsAtEnd: false
        ) { harness in
            #expect(harness.port == 0)
            let client = try Client(path: path)
            #expect(try client.ask("GET", "/hello").text == "hello")
            return harness.server
        }
        first.quiesce()
        await first.stop()
        // No server runs, but the connection is established and waits.
        let waiting = Unchecked(try Client(path: path))
        waiting.value.send("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n")
        try await serving(configure: { $0.listen = .inherited(fileDescriptor: listener) }) { _ in
            let reply = try waiting.value.reply()
            #expect(reply.text == "hello")
        }
    }

    @Test("a Unix socket is for its owner and group, and leaves nothing behind")
    func unixSocket() async throws {
        let path = "/tmp/http-\(UUID().uuidString.prefix(8)).sock"
        // What a process that was killed leaves there is replaced.
        close(unixListener(path))
        try await serving(configure: { $0.listen = .unix(path: path) }) { harness in
            #expect(try Client(path: path).ask("GET", "/hello").text == "hello")
            let attributes = try FileManager.default.attributesOfItem(atPath: path)
            #expect((attributes[.posixPermissions] as? NSNumber)?.intValue == 0o660)
            #expect(
                start(.unix(path: path))
                    == .socketUnavailable(path: path, reason: "another process listens on it"))
            #expect(try Client(path: path).ask("GET", "/hello").text == "hello")
        }
        #expect(!FileManager.default.fileExists(atPath: path))
        try Data("kept".utf8).write(to: URL(filePath: path))
        defer { try? FileManager.default.removeItem(atPath: path) }
        #expect(
            start(.unix(path: path))
                == .socketUnavailable(path: path, reason: "there is a file that is no socket"))
        #expect(try String(contentsOfFile: path, encoding: .utf8) == "kept")
        let long = "/tmp/" + String(repeating: "x", count: 200)
        #expect(
            start(.unix(path: long))
                == .socketUnavailable(path: long, reason: "the path is too long"))
    }

    @Sendable private func start(_ listener: ServerConfiguration.Listener) -> ServerError? {
        let server = HTTPServer(
            configuration: ServerConfiguration(listen: listener), router: Router([]))
        do throws(ServerError) {
            try server.start()
            return nil
        } catch {
            return error
        }
    }

    @Test("an IPv6 socket serves IPv4 clients, and reports their IPv4 address")
    func ipv6() async throws {
        let route = Route(method: .get, pattern: "/", operationID: "peer") { request in
            text(request.head.remoteAddress)
        }
        try await serving([route], configure: { $0.listen = .address(host: "::", port: 0) }) {
            let reply = try $0.client().ask("GET", "/")
            #expect(reply.text == "127.0.0.1")
        }
    }

    @Test("a server that cannot listen reports the reason")
    func failures() async throws {
        let taken = try await serving { harness in
            start(.address(host: "127.0.0.1", port: harness.port))
        }
        guard case .addressUnavailable(_, _, let reason) = taken else {
            Issue.record("\(String(describing: taken))")
            return
        }
        #expect(reason == "Address already in use")
        #expect(
            start(.address(host: "no such host", port: 1))
                == .addressUnknown(host: "no such host", port: 1))
        #expect(
            start(.address(host: "127.0.0.1", port: 70_000))
                == .addressUnknown(host: "127.0.0.1", port: 70_000))
        let pair = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(pair) }
        #expect(
            start(.inherited(fileDescriptor: pair))
                == .listenerUnusable(fileDescriptor: pair, reason: "it does not listen"))
        #expect(
            start(.inherited(fileDescriptor: 9999))
                == .listenerUnusable(fileDescriptor: 9999, reason: "Bad file descriptor"))
    }
}
