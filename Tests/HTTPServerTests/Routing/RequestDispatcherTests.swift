import HTTPServer
import HTTPTypes
import Testing

@Suite("Gate and framing")
struct GateTests {
    private func decide(
        _ method: HTTPRequest.Method, _ path: String, _ framing: Framing,
        contentType: String? = nil, admit: @escaping Gate.Admit = { _, _ in nil }
    ) -> (status: Int, allow: String?) {
        let gate = Gate(router: Router(standardRoutes(Log())), admit: admit) { refusal, _ in
            Response(status: refusal.status)
        }
        var fields = HeaderFields()
        fields[.contentType] = contentType
        let head = RequestHead(
            method: method, target: "/" + path, path: path.split(separator: "/").map(String.init),
            headerFields: fields)
        switch gate.decide(head, framing) {
        case .serve: return (200, nil)
        case .answer(let response, _):
            return (response.status.code, response.headerFields[.allow])
        }
    }

    @Test("a body must be of a type that the route reads")
    func mediaTypes() {
        let json = [
            "application/json", "Application/JSON; charset=utf-8", "application/json ;x=y", nil,
        ]
        for type in json {
            #expect(decide(.put, "items/1", .sized(2), contentType: type).status == 200)
        }
        for type in ["text/plain", "application/jsonx", "", "application/json, text/plain", ";"] {
            #expect(decide(.put, "items/1", .sized(2), contentType: type).status == 415)
        }
        #expect(decide(.put, "items/1", .none, contentType: "text/plain").status == 200)
    }

    @Test("a route without media types takes the empty body of any type, and no other")
    func noBody() {
        #expect(decide(.post, "touch", .none, contentType: "text/plain").status == 200)
        #expect(decide(.post, "touch", .sized(1)).status == 415)
    }

    @Test("a body needs a length, and not too large a one")
    func lengths() {
        #expect(decide(.put, "items/1", .chunked).status == 411)
        #expect(decide(.put, "items/1", .sized(32 << 20)).status == 200)
        #expect(decide(.put, "items/1", .sized(32 << 20 + 1)).status == 413)
    }

    @Test("who is not admitted learns nothing of the paths")
    func admission() {
        let deny: Gate.Admit = { _, _ in Response(status: .unauthorized) }
        for path in ["hello", "nowhere"] {
            #expect(decide(.get, path, .none, admit: deny).status == 401)
            #expect(decide(.options, path, .none, admit: deny).status == 401)
            #expect(decide(.delete, path, .none, admit: deny).status == 401)
        }
    }

    @Test("OPTIONS and 405 say what is allowed")
    func allow() {
        #expect(decide(.options, "hello", .none) == (204, "GET, HEAD, OPTIONS"))
        #expect(decide(.delete, "hello", .none) == (405, "GET, HEAD, OPTIONS"))
        #expect(decide(.options, "nowhere", .none).status == 404)
    }

    @Test("framing that two parsers may read differently is refused")
    func framing() throws {
        #expect(try Framing(lengths: [], codings: [], isHTTP11: true) == .none)
        #expect(try Framing(lengths: ["0"], codings: [], isHTTP11: true) == .none)
        #expect(try Framing(lengths: ["12"], codings: [], isHTTP11: false) == .sized(12))
        #expect(try Framing(lengths: [], codings: ["Chunked"], isHTTP11: true) == .chunked)
        let refused: [([String], [String], Bool)] = [
            (["1"], ["chunked"], true), (["1", "1"], [], true), (["1", "2"], [], true),
            ([""], [], true), (["+1"], [], true), (["-1"], [], true), (["0x1"], [], true),
            (["1,1"], [], true), (["99999999999999999999"], [], true), (["١"], [], true),
            ([], ["gzip, chunked"], true), ([], ["identity"], true),
            ([], ["chunked", "chunked"], true),
            ([], ["chunked"], false),
        ]
        for (lengths, codings, isHTTP11) in refused {
            #expect(throws: Refusal.self) {
                try Framing(lengths: lengths, codings: codings, isHTTP11: isHTTP11)
            }
        }
    }
}
