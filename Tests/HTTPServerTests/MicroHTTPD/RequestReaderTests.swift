import Foundation
import HTTPServer
import Testing

@Suite("Request reader: request smuggling")
struct RequestReaderTests {
    /// Requests that must get 400 and a closed connection, each with its flaw.
    static let malformed: [(flaw: String, request: String)] = [
        (
            "length and coding",
            "POST /touch HTTP/1.1\nHost: a\nContent-Length: 1\nTransfer-Encoding: chunked\n\n0\n\n"
        ),
        (
            "two lengths",
            "POST /touch HTTP/1.1\nHost: a\nContent-Length: 4\nContent-Length: 5\n\nabcd"
        ),
        (
            "the same length twice",
            "POST /touch HTTP/1.1\nHost: a\nContent-Length: 4\nContent-Length: 4\n\nabcd"
        ),
        ("a list of lengths", "POST /touch HTTP/1.1\nHost: a\nContent-Length: 4, 4\n\nabcd"),
        ("a signed length", "POST /touch HTTP/1.1\nHost: a\nContent-Length: +4\n\nabcd"),
        ("space before the colon", "POST /touch HTTP/1.1\nHost: a\nContent-Length : 4\n\nabcd"),
        ("tab before the colon", "POST /touch HTTP/1.1\nHost: a\nContent-Length\t: 4\n\nabcd"),
        ("unknown coding", "POST /touch HTTP/1.1\nHost: a\nTransfer-Encoding: xchunked\n\n0\n\n"),
        (
            "two codings",
            "POST /touch HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n"
                + "Transfer-Encoding: identity\n\n0\n\n"
        ),
        ("coding in 1.0", "POST /touch HTTP/1.0\nHost: a\nTransfer-Encoding: chunked\n\n0\n\n"),
        ("no Host", "GET /hello HTTP/1.1\n\n"),
        ("two Hosts", "GET /hello HTTP/1.1\nHost: a\nHost: b\n\n"),
        ("a method that is no token", "GE(T /hello HTTP/1.1\nHost: a\n\n"),
        ("a header name that is no token", "GET /hello HTTP/1.1\nHost: a\nX(: b\n\n"),
        ("an empty header name", "GET /hello HTTP/1.1\nHost: a\n: b\n\n"),
        ("nothing but a colon", "GET /hello HTTP/1.1\nHost: a\n:\n\n"),
        ("NUL in a value", "GET /hello HTTP/1.1\nHost: a\nX: b\0c\n\n"),
        ("a control character in a value", "GET /hello HTTP/1.1\nHost: a\nX: b\u{1}c\n\n"),
        ("a folded field", "GET /hello HTTP/1.1\nHost: a\nX: b\n c\n\n"),
        ("a name folded together", "POST /touch HTTP/1.1\nHost: a\nContent: 4\n -Length\n\nabcd"),
        ("NUL in the path", "GET /hello%00x HTTP/1.1\nHost: a\n\n"),
        ("a newline in the path", "GET /hello%0Ax HTTP/1.1\nHost: a\n\n"),
        ("a cut escape", "GET /hello%2 HTTP/1.1\nHost: a\n\n"),
        ("no hexadecimal", "GET /hello%GG HTTP/1.1\nHost: a\n\n"),
        ("not UTF-8", "GET /hello%FF HTTP/1.1\nHost: a\n\n"),
        ("a space in the path", "GET /hel lo HTTP/1.1\nHost: a\n\n"),
        ("no slash", "GET hello HTTP/1.1\nHost: a\n\n"),
        ("NUL in the query", "GET /hello?a=%00 HTTP/1.1\nHost: a\n\n"),
    ]

    @Test("a malformed request gets 400, and nothing after it is served", arguments: malformed)
    func rejected(flaw: String, request: String) async throws {
        let log = Log()
        try await serving(standardRoutes(log), log: log) { harness in
            let client = try harness.client()
            let smuggled = "GET /hello HTTP/1.1\nHost: a\n\n"
            client.send((request + smuggled).replacingOccurrences(of: "\n", with: "\r\n"))
            let reply = try client.reply()
            #expect(reply.status == 400, "\(flaw): \(reply.text)")
            // A second response would answer the smuggled request.
            let rest = String(decoding: try client.rest(), as: UTF8.self)
            #expect(!rest.contains("200"), "\(flaw)")
            // The server still serves other clients.
            #expect(try harness.client().ask("GET", "/hello").status == 200)
        }
        #expect(log.notes.isEmpty)
    }

    @Test("junk instead of HTTP closes only its own connection")
    func junk() async throws {
        try await serving(configure: { $0.headerDeadlineSeconds = 1 }) { harness in
            for junk in [
                "\r\n\r\n\r\n", "x\r\n\r\n", "GET\r\n\r\n", "\0\0\0\0\r\n\r\n",
                "GET /hello\r\n\r\n",
            ] {
                let client = try harness.client()
                client.send(junk)
                client.finishSending()
                #expect(client.isClosed(withinSeconds: 5))
            }
            #expect(try harness.client().ask("GET", "/hello").status == 200)
        }
    }

    @Test("a header that is too large is rejected")
    func headersTooLarge() async throws {
        try await serving { harness in
            let client = try harness.client()
            client.send(
                "GET /hello HTTP/1.1\r\nHost: a\r\nX: " + String(repeating: "x", count: 200_000))
            #expect((400...499).contains(try client.reply().status))
            #expect(client.isClosed())
            #expect(try harness.client().ask("GET", "/hello").status == 200)
        }
    }

    @Test("unusual but unambiguous requests are served")
    func unusual() async throws {
        try await serving { harness in
            let requests = [
                "GET /hello HTTP/1.1\nHost: a\n\n", "GET /hello HTTP/1.0\n\n",
                "GET http://a/hello HTTP/1.1\nHost: a\n\n", "GET /%68ello HTTP/1.1\nhost:a\n\n",
                "GET /hello HTTP/1.1\nHost: \nX-Empty:\nX-Tab: a\tb\n\n",
                "\nGET /hello HTTP/1.1\nHost: a\n\n",
                "GET /hello?a=b HTTP/1.1\nHOST: a\nAccept: */*  \n\n",
            ]
            for request in requests {
                let client = try harness.client()
                client.send(request.replacingOccurrences(of: "\n", with: "\r\n"))
                #expect(try client.reply().text == "hello", "\(request)")
            }
        }
    }
}
