public import HTTPServer
internal import HTTPTypes
internal import Hashing

/// The tokens that let a client in (RFC 6750). Only their digests are kept, and comparing takes the
/// same time whatever is sent: neither memory nor timing tells a token.
public struct BearerTokens: Sendable {
    private let digests: [[UInt8]]

    public init(tokens: [String]) {
        digests = tokens.map(BearerTokens.digest)
    }

    private static func digest(_ token: String) -> [UInt8] {
        SHA256.hash(Array(token.utf8))
    }

    /// Whether `token` is one of them. O(tokens), without a shortcut.
    public func contains(_ token: String) -> Bool {
        let sent = BearerTokens.digest(token)
        var isKnown = false
        for digest in digests {
            let difference = zip(digest, sent).reduce(UInt8(0)) { $0 | ($1.0 ^ $1.1) }
            isKnown = difference == 0 || isKnown
        }
        return isKnown
    }

    /// Whether an Authorization field has one of them.
    func admit(authorization: String?) -> Bool {
        guard let authorization else { return false }
        let parts = authorization.split(separator: " ", omittingEmptySubsequences: true)
        guard parts.count == 2, parts[0].lowercased() == "bearer" else { return false }
        return contains(String(parts[1]))
    }
}

/// Operations that need no token: what supervisors and scrapers read, who have none, and the
/// description that says how to send one. Nothing in them tells of a session.
let openOperations: Set = ["getLiveness", "getReadiness", "getMetrics", "getOpenAPIDocument"]

/// For `HTTPServer(admit:)`. `tokens` is asked on every request, so that they can change while the
/// server runs; nil lets everybody in.
public func makeAdmit(
    tokens: @escaping @Sendable () -> BearerTokens?
) -> @Sendable (RequestHead, Route?) -> Response? {
    { head, route in
        guard let tokens = tokens() else { return nil }
        if let route, openOperations.contains(route.operationID) { return nil }
        let authorization = head.headerFields[.authorization]
        if tokens.admit(authorization: authorization) { return nil }
        var problem = Problem(
            .unauthorized,
            authorization == nil
                ? "Send a token: Authorization: Bearer <token>."
                : "The Authorization field has no token that is known here.")
        problem.headerFields[.wwwAuthenticate] =
            "Bearer realm=\"lbfgsd\"" + (authorization == nil ? "" : ", error=\"invalid_token\"")
        return problem.response
    }
}
