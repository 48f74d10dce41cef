import HTTPServer
import HTTPTypes
import Testing

@Suite("Request dispatcher")
struct RequestDispatcherTests {
    private func decide(
        _ method: HTTPRequest.Method, _ path: String, _ framing: BodyFraming,
        contentType: String? = "application/json",
        authorize: @escaping HTTPServer.Authorize = { _, _ in nil }
    ) -> (status: Int, allow: String?) {
        let dispatcher = RequestDispatcher(
            router: Router(standardRoutes(Log())), authorize: authorize,
            renderRejection: { rejection, _ in Response(status: rejection.status) })
        var fields = HeaderFields()
        fields[.contentType] = contentType
        let head = RequestHead(
            method: method, target: "/" + path, path: path.split(separator: "/").map(String.init),
            headerFields: fields)
        switch dispatcher.decide(head, framing) {
        case .dispatch: return (200, nil)
        case .respond(let response, _), .refuse(let response, _):
            return (response.status.code, response.headerFields[.allow])
        }
    }

    @Test("a body must have a media type that the route accepts")
    func mediaTypes() {
        let json = [
            "application/json", "Application/JSON; charset=utf-8", "application/json ;x=y",
        ]
        for type in json {
            #expect(decide(.put, "items/1", .sized(2), contentType: type).status == 200)
        }
        for type in ["text/plain", "application/jsonx", "", "application/json, text/plain", ";"] {
            #expect(decide(.put, "items/1", .sized(2), contentType: type).status == 415)
        }
        #expect(decide(.put, "items/1", .sized(2), contentType: nil).status == 415)
        #expect(decide(.put, "items/1", .none, contentType: nil).status == 200)
        #expect(decide(.put, "items/1", .none, contentType: "text/plain").status == 200)
    }

    @Test("a route without media types accepts only an empty body, of any type")
    func noBody() {
        #expect(decide(.post, "touch", .none, contentType: "text/plain").status == 200)
        #expect(decide(.post, "touch", .sized(1)).status == 415)
    }

    @Test("a body needs a length within the route's limit")
    func lengths() {
        #expect(decide(.put, "items/1", .chunked).status == 411)
        #expect(decide(.put, "items/1", .sized(32 << 20)).status == 200)
        #expect(decide(.put, "items/1", .sized(32 << 20 + 1)).status == 413)
    }

    @Test("an unauthorized client does not learn which paths exist")
    func authorization() {
        let deny: HTTPServer.Authorize = { _, _ in Response(status: .unauthorized) }
        for path in ["hello", "nowhere"] {
            #expect(decide(.get, path, .none, authorize: deny).status == 401)
            #expect(decide(.options, path, .none, authorize: deny).status == 401)
            #expect(decide(.delete, path, .none, authorize: deny).status == 401)
        }
    }

    @Test("OPTIONS and 405 list the allowed methods")
    func allow() {
        #expect(decide(.options, "hello", .none) == (204, "GET, HEAD, OPTIONS"))
        #expect(decide(.delete, "hello", .none) == (405, "GET, HEAD, OPTIONS"))
        #expect(decide(.options, "nowhere", .none).status == 404)
    }
}
