internal import Foundation
internal import Glibc
@testable import HTTPServer
internal import HTTPTypes

/// A server with a route of each kind, which lives as long as the process.
private let server: HTTPServer = {
    var configuration = ServerConfiguration(listen: .address(host: "127.0.0.1", port: 0))
    configuration.threads = 1
    configuration.headerDeadlineSeconds = 5
    configuration.bodyDeadlineSeconds = 5
    let echo: Route.Handler = { request in
        Response(status: .ok, body: .bytes(Array("\(request.head.target)".utf8)))
    }
    let routes = [
        Route(method: .get, pattern: "/v1/things/{id}", operationID: "get", handler: echo),
        Route(
            method: .post, pattern: "/v1/things", operationID: "post",
            mediaTypes: ["application/json"], bodyBytesMax: 1 << 16, handler: echo),
    ]
    let server = HTTPServer(
        configuration: configuration, router: Router(routes),
        renderRejection: { rejection, _ in
            Response(status: rejection.status, body: .bytes(Array("\(rejection)".utf8)))
        })
    do {
        try server.start()
    } catch {
        fatalError("the server can't start: \(error)")
    }
    // A write to a connection that the server has closed.
    _ = signal(SIGPIPE, SIG_IGN)
    return server
}()

/// Any bytes on a connection: the server answers with HTTP or closes it, and lives.
@Sendable func fuzzRequest(_ input: [UInt8]) {
    guard let connection = try? server.connect() else { return }
    defer { close(connection) }
    var sent = 0
    while sent < input.count {
        // Sound: the rest of the array.
        let count = unsafe input[sent...].withUnsafeBytes {
            unsafe write(connection, $0.baseAddress, $0.count)
        }
        if count <= 0 { break }
        sent += count
    }
    shutdown(connection, CInt(SHUT_WR))
    var answer: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 1 << 14)
    while true {
        // Sound: no more than the array holds.
        let count = unsafe piece.withUnsafeMutableBytes {
            unsafe read(connection, $0.baseAddress, $0.count)
        }
        if count <= 0 { break }
        answer += piece[..<count]
    }
    precondition(
        answer.isEmpty || answer.starts(with: "HTTP/1.".utf8),
        "an answer that is no HTTP: \(String(decoding: answer.prefix(80), as: UTF8.self))")
}
