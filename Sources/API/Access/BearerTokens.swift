public import HTTPServer
internal import HTTPTypes
internal import Hashing

/// The bearer tokens that the daemon accepts (RFC 6750). It keeps only their digests and compares
/// in constant time, so that neither memory nor timing reveals a token.
public struct BearerTokens: Sendable {
    private let digests: [[UInt8]]

    public init(tokens: [String]) {
        digests = tokens.map(BearerTokens.digest)
    }

    private static func digest(_ token: String) -> [UInt8] {
        SHA256.hash(Array(token.utf8))
    }

    /// Whether `token` is accepted. Compares with every token: O(tokens).
    public func contains(_ token: String) -> Bool {
        let sent = BearerTokens.digest(token)
        var isKnown = false
        for digest in digests {
            let difference = zip(digest, sent).reduce(UInt8(0)) { $0 | ($1.0 ^ $1.1) }
            isKnown = difference == 0 || isKnown
        }
        return isKnown
    }

    /// Whether an Authorization field carries an accepted token.
    func admit(authorization: String?) -> Bool {
        guard let authorization else { return false }
        let parts = authorization.split(separator: " ", omittingEmptySubsequences: true)
        guard parts.count == 2, parts[0].lowercased() == "bearer" else { return false }
        return contains(String(parts[1]))
    }
}

/// Operations without a token: those of supervisors and scrapers, which have none, and the API's
/// description, which says how to send one. None of them shows anything of a session.
let openOperations: Set = ["getLiveness", "getReadiness", "getMetrics", "getOpenAPIDocument"]

/// For `HTTPServer(authorize:)`. Each request calls `tokens`, so that they can change while the
/// server runs; nil admits every client.
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
