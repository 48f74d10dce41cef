public import HTTPServer
public import Sessions
internal import HTTPTypes
internal import Wire

/// Who may call at this moment. A reload of the tokens replaces it while requests are checked.
public struct AccessPolicy: Sendable {
    /// nil admits everybody, as `Caller.anonymous`.
    public var tokens: BearerTokens?
    /// Whether `/metrics` needs no token.
    public var isMetricsOpen: Bool
    /// Seconds since 1970, at most a second old: it decides which tokens have expired.
    public var now: Int64
    /// Counts the requests in flight.
    public var ledger: TenantLedger?

    public init(
        tokens: BearerTokens?, isMetricsOpen: Bool = true, now: Int64 = 0,
        ledger: TenantLedger? = nil
    ) {
        self.ledger = ledger
        self.tokens = tokens
        self.isMetricsOpen = isMetricsOpen
        self.now = now
    }

    /// Returns the response to a request that is not admitted. Records who sent it, if its token is
    /// known.
    func authorize(_ head: RequestHead, _ route: Route?) -> Response? {
        guard let tokens else { return admit(.anonymous, nil, head) }
        switch tokens.find(authorization: head.headerFields[.authorization], at: now) {
        case .missing:
            return Problem.unauthorized(
                "Send a token: Authorization: Bearer <token>.", error: nil
            ).response(to: head)
        case .unknown:
            return Problem.unauthorized(
                "The Authorization field has no token that is known here.", error: "invalid_token"
            ).response(to: head)
        case .expired:
            return Problem.unauthorized("The token has expired.", error: "invalid_token")
                .response(to: head)
        case .found(let credential):
            if let route, let problem = Self.missingScope(credential.caller, route) {
                return refuse(head, of: credential.caller, problem)
            }
            return admit(credential.caller, credential, head)
        }
    }

    private func admit(
        _ caller: Caller, _ credential: Credential?, _ head: RequestHead
    ) -> Response? {
        if let maximum = ledger?.requestBegan(of: caller.tenant) {
            return refuse(
                head, of: caller,
                Problem(.requestsInFlight, needed: 1, used: maximum, maximum: maximum))
        }
        head.identify(as: AdmittedRequest(caller, credential: credential, countedIn: ledger))
        return nil
    }

    /// The audit log says who was refused. The request is counted nowhere.
    private func refuse(_ head: RequestHead, of caller: Caller, _ problem: Problem) -> Response {
        head.identify(as: AdmittedRequest(caller, countedIn: nil))
        return problem.response(to: head)
    }

    /// Whether the operation needs no token.
    func isOpen(_ route: Route) -> Bool {
        openOperations.contains(route.operationID)
            || (isMetricsOpen || tokens == nil) && route.operationID == "getMetrics"
    }

    /// An operation without an entry in the table needs the scope that permits most.
    private static func missingScope(_ caller: Caller, _ route: Route) -> Problem? {
        let scope = operationScopes[route.operationID] ?? .admin
        guard !caller.scopes.contains(Scopes(scope)) else { return nil }
        var problem = Problem(
            .insufficientScope,
            "The token has no scope \(scope.rawValue), which \(route.operationID) needs.",
            members: [("scope", .string(scope.rawValue))])
        problem.headerFields[.wwwAuthenticate] =
            "Bearer realm=\"lbfgsd\", error=\"insufficient_scope\", scope=\"\(scope.rawValue)\""
        return problem
    }

    /// Whether a token expires after `earlier`, at `later` or before.
    public func hasExpiry(after earlier: Int64, upTo later: Int64) -> Bool {
        tokens?.credentials.contains { !$0.isExpired(at: earlier) && $0.isExpired(at: later) }
            ?? false
    }

    /// The response that ends a request in flight whose token is accepted no more; nil for others.
    public func revocation(of head: RequestHead) -> Response? {
        guard let admission = head.admission, let credential = admission.credential,
            tokens?.accepts(credential, at: now) != true
        else { return nil }
        admission.revoke()
        return Problem.revoked.response(to: head)
    }
}

extension Problem {
    fileprivate static func unauthorized(_ detail: String, error: String?) -> Problem {
        var problem = Problem(.unauthorized, detail)
        problem.headerFields[.wwwAuthenticate] =
            "Bearer realm=\"lbfgsd\"" + (error.map { ", error=\"\($0)\"" } ?? "")
        return problem
    }

    /// The token of a request in flight was removed, or has expired.
    static var revoked: Problem {
        var problem = Problem(.unauthorized, "The token is accepted no more.")
        problem.headerFields[.wwwAuthenticate] =
            "Bearer realm=\"lbfgsd\", error=\"invalid_token\""
        return problem
    }
}
