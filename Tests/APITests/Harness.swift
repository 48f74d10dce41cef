import API
import Foundation
import HTTPServer
import HTTPTypes
import Sessions
import Telemetry
import Testing

/// The whole interface in process: requests are decided on and answered as the server does it,
/// without a socket.
struct Harness {
    let store = MemoryStore()
    let metrics = MetricsRegistry()
    let service: SessionService
    let dispatcher: RequestDispatcher

    init(
        limits: Limits = Limits(), tokens: [String]? = nil, hosts: AllowedHosts = .any,
        documentation: String? = nil,
        probe: @escaping @Sendable () async -> String? = { nil }
    ) {
        service = SessionService(store: store, limits: limits, metrics: metrics)
        let known = tokens.map { BearerTokens(tokens: $0) }
        dispatcher = RequestDispatcher(
            router: makeRouter(
                service: service, metrics: metrics, documentation: documentation, probe: probe),
            authorize: makeAdmit(hosts: hosts, policy: { AccessPolicy(tokens: known) }),
            renderRejection: renderRejection)
    }

    func call(
        _ method: HTTPRequest.Method, _ target: String, _ body: String = "",
        headers: [String: String] = [:], framing: BodyFraming? = nil
    ) async throws -> Answer {
        try await call(method, target, Array(body.utf8), headers: headers, framing: framing)
    }

    /// - Parameter cuts: Where pieces of the body end, if its route is asked where it goes, as it
    ///   is about a long one.
    func call(
        _ method: HTTPRequest.Method, _ target: String, _ body: [UInt8],
        headers: [String: String] = [:], framing: BodyFraming? = nil, cutAt cuts: [Int]? = nil
    ) async throws -> Answer {
        let parsed = try RequestTarget(target)
        var fields = HeaderFields()
        for (name, value) in headers {
            fields[try #require(HTTPField.Name(name))] = value
        }
        if !body.isEmpty || framing != nil, fields[.contentType] == nil {
            fields[.contentType] = "application/json"
        }
        // The same for each, so that responses can be compared.
        let requestID = try #require(HTTPField.Name("X-Request-Id"))
        if fields[requestID] == nil { fields[requestID] = "test" }
        let head = RequestHead(
            method: method, target: target, path: parsed.path, query: parsed.query,
            headerFields: fields)
        switch dispatcher.decide(head, framing ?? .sized(body.count)) {
        case .respond(let response, _), .refuse(let response, _):
            return Answer(response)
        case .dispatch(let route, let parameters):
            var request = Request(head: head, pathParameters: parameters, route: route.pattern)
            let plan =
                if cuts != nil, let planBody = route.planBody {
                    await planBody(head, parameters, body.count)
                } else {
                    BodyPlan.collect
                }
            switch plan {
            case .collect: request.body = body
            case .reject(let response): return Answer(response)
            case .stream(let sink):
                var start = 0
                for end in (cuts ?? []) + [body.count] {
                    // Sound: the buffer is used within the call.
                    unsafe body[start..<end].withUnsafeBytes { unsafe sink.append($0) }
                    start = end
                }
                request.sink = sink
            }
            return Answer(await route.handler(request))
        }
    }

    /// A new session's path.
    func create(_ body: String = "{\"x0\": [1, 2]}") async throws -> String {
        let answer = try await call(.post, "/v1/sessions", body)
        #expect(answer.status == 201, "\(answer.text)")
        return try #require(answer["Location"])
    }

    /// Tells the gradient of half the squared norm, and half of it, until the step has ended.
    func finish(_ session: String) async throws {
        var turn = try await call(.get, session + "/evaluation").object
        while turn["state"] as? String == "evaluating" {
            turn = try await call(
                .put, session + "/evaluations/\(try number(turn))/result", bowl(turn)
            ).object
        }
    }
}

/// The number of the evaluation that a turn asks for.
func number(_ turn: [String: Any]) throws -> Int {
    let evaluation = try #require(turn["evaluation"] as? [String: Any])
    return try #require(evaluation["number"] as? Int)
}

/// The result for half the squared norm at a turn's trial point.
func bowl(_ turn: [String: Any]) -> String {
    let x = (turn["evaluation"] as? [String: Any])?["x"] as? [Double] ?? []
    return "{\"loss\": \(x.reduce(0) { $0 + $1 * $1 / 2 }), \"gradient\": \(x)}"
}

struct Answer {
    let response: Response

    init(_ response: Response) { self.response = response }

    var status: Int { response.status.code }

    subscript(name: String) -> String? {
        HTTPField.Name(name).flatMap { response.headerFields[$0] }
    }

    var text: String {
        guard case .bytes(let bytes) = response.body else { return "" }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// The body as a JSON object; empty when it is none.
    var object: [String: Any] {
        (try? JSONSerialization.jsonObject(with: Data(text.utf8))) as? [String: Any] ?? [:]
    }

    /// The problem's kind, if it is one in the form it should have.
    var problem: String? {
        guard self["Content-Type"] == "application/problem+json",
            object["status"] as? Int == status, object["title"] is String,
            object["detail"] is String, let type = object["type"] as? String,
            type.hasPrefix("/problems/")
        else { return nil }
        return String(type.dropFirst("/problems/".count))
    }

    /// The fields that a problem complains of.
    var fields: [String] {
        (object["errors"] as? [[String: String]] ?? []).compactMap { $0["field"] }
    }
}
