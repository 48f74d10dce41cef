import HTTPServer
import HTTPTypes
import Testing

@Suite("Router")
struct RouterTests {
    private func make(_ routes: (HTTPRequest.Method, String)...) -> Router {
        Router(
            routes.map { method, pattern in
                Route(method: method, pattern: pattern, operationID: "\(method) \(pattern)") { _ in
                    Response(status: .ok)
                }
            })
    }

    private func describe(_ resolution: Router.Resolution) -> String {
        switch resolution {
        case .matched(let route, let parameters):
            let pairs = parameters.pairs.map { "\($0.name)=\($0.value)" }
            return ([route.operationID] + pairs).joined(separator: " ")
        case .methodNotAllowed(let allow): return "allow \(allow.map(\.rawValue))"
        case .notFound: return "nothing"
        }
    }

    @Test("a parameter takes one segment, whatever it contains")
    func parameters() {
        let router = make((.get, "/v1/sessions/{s}/steps/{n}"))
        let found = router.resolve(.get, ["v1", "sessions", "a/b c", "steps", "12"])
        #expect(describe(found) == "GET /v1/sessions/{s}/steps/{n} s=a/b c n=12")
    }

    @Test("an empty segment matches no parameter, and a trailing slash makes a different path")
    func emptySegments() {
        let router = make((.get, "/v1/sessions/{s}"))
        #expect(describe(router.resolve(.get, ["v1", "sessions", ""])) == "nothing")
        #expect(describe(router.resolve(.get, ["v1", "sessions", "a", ""])) == "nothing")
        #expect(describe(router.resolve(.get, [])) == "nothing")
        #expect(describe(router.resolve(.get, [""])) == "nothing")
    }

    @Test("a literal takes precedence over a parameter, in any order of routes")
    func precedence() {
        for router in [
            make((.get, "/a/{x}"), (.get, "/a/b")), make((.get, "/a/b"), (.get, "/a/{x}")),
        ] {
            #expect(describe(router.resolve(.get, ["a", "b"])) == "GET /a/b")
            #expect(describe(router.resolve(.get, ["a", "c"])) == "GET /a/{x} x=c")
        }
    }

    @Test("a colon has no special meaning")
    func colon() {
        let router = make((.post, "/s/evaluations:batch"), (.get, "/s/{e}"))
        #expect(
            describe(router.resolve(.post, ["s", "evaluations:batch"]))
                == "POST /s/evaluations:batch")
    }

    @Test("a path without a route for the method lists the allowed methods")
    func methods() {
        let router = make((.get, "/a"), (.put, "/a"), (.delete, "/b"))
        let allow = #"allow ["GET", "HEAD", "OPTIONS", "PUT"]"#
        #expect(describe(router.resolve(.post, ["a"])) == allow)
        #expect(describe(router.resolve(.options, ["a"])) == allow)
        #expect(describe(router.resolve(.get, ["b"])) == #"allow ["DELETE", "OPTIONS"]"#)
        #expect(describe(router.resolve(.head, ["a"])) == "GET /a")
    }

    @Test("the root is a path")
    func root() {
        #expect(describe(make((.get, "/")).resolve(.get, [""])) == "GET /")
    }
}
