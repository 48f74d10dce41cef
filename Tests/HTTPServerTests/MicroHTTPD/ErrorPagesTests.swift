import HTTPServer
import HTTPTypes
import Testing

@Suite("Requests that the library's parser refuses")
struct ErrorPagesTests {
    private static let long = String(repeating: "x", count: 40_000)

    /// Each makes libmicrohttpd 0.9.75 send a page of its own, in HTML, before it calls back.
    private static let requests: [(request: String, status: Int)] = [
        ("GET /\(long) HTTP/1.1\r\nHost: a\r\n\r\n", 431),
        ("GET /hello HTTP/1.1\r\nHost: a\r\nX: \(long)\r\n\r\n", 431),
        ("PUT /items/1 HTTP/1.1\r\nHost: a\r\nContent-Length: fourteen\r\n\r\n", 400),
        ("PUT /items/1 HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n", 400),
        ("GET /hello HTTP/9.9\r\nHost: a\r\n\r\n", 400),
        ("GET /hello\r\nHost: a\r\n\r\n", 400),
        ("GET /hello HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n", 400),
    ]

    @Test("have responses in the server's form", arguments: 0..<requests.count)
    func form(index: Int) async throws {
        let (request, status) = Self.requests[index]
        try await serving { harness in
            let client = try harness.client()
            client.send(request)
            let reply = try client.reply()
            #expect(reply.status == status)
            #expect(reply.fields["content-type"] == "application/problem+json")
            #expect(reply.fields["x-request-id"]?.utf8.count == 15)
            #expect(!reply.text.contains("<html>"), "\(reply.text)")
            #expect(try harness.client().ask("GET", "/hello").text == "hello")
        }
    }
}
