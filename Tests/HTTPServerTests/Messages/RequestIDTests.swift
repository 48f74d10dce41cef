import HTTPServer
import HTTPTypes
import Testing

@Suite("Request identifiers")
struct RequestIDTests {
    @Test("each request has its own, in every kind of response")
    func unique() async throws {
        #expect(Set((0..<10_000).map { _ in RequestID.make() }).count == 10_000)
        #expect((0..<100).allSatisfy { _ in RequestID.isAcceptable(RequestID.make()) })
        try await serving { harness in
            let client = try harness.client()
            var seen: Set<String> = []
            for path in ["/hello", "/nowhere", "/hello"] {
                let reply = try client.ask("GET", path)
                seen.insert(try #require(reply.fields["x-request-id"]))
            }
            #expect(seen.count == 3)
            let sent = try client.ask("GET", "/hello", fields: ["X-Request-Id: abc-1"])
            #expect(sent.fields["x-request-id"] == "abc-1")
            let forged = try client.ask("GET", "/hello", fields: ["X-Request-Id: a b"])
            #expect(forged.fields["x-request-id"] != "a b")
            let twice = try client.ask(
                "GET", "/hello", fields: ["X-Request-Id: a", "X-Request-Id: b"])
            #expect(twice.fields["x-request-id"]?.utf8.count == 15)
        }
    }

    @Test("a handler, and what it calls, know the request")
    func current() async throws {
        let route = Route(method: .get, pattern: "/", operationID: "id") { _ in
            text(await Task { RequestHead.current?.requestID ?? "-" }.value)
        }
        try await serving([route]) { harness in
            let reply = try harness.client().ask("GET", "/")
            #expect(reply.text == reply.fields["x-request-id"])
        }
    }

    @Test("a trace is known by a valid traceparent only")
    func traces() {
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736"
        for value in ["00-\(trace)-00f067aa0ba902b7-01", "cc-\(trace)-00f067aa0ba902b7-01-more"] {
            #expect(TraceParent.traceID(value) == trace)
        }
        for value in [
            "", "00-\(trace)-00f067aa0ba902b7", "00-\(trace)-00f067aa0ba902b7-01-more",
            "ff-\(trace)-00f067aa0ba902b7-01", "00-\(trace.uppercased())-00f067aa0ba902b7-01",
            "00-\(String(repeating: "0", count: 32))-00f067aa0ba902b7-01",
            "00-\(trace)-0000000000000000-01", "00-\(trace)-00f067aa0ba902b7-0x",
            "00 \(trace)-00f067aa0ba902b7-01", "cc-\(trace)-00f067aa0ba902b7-01more",
        ] {
            #expect(TraceParent.traceID(value) == nil, "\(value)")
        }
    }
}
