public import struct Foundation.Date

/// What a POST with an Idempotency-Key did.
public struct IdempotencyRecord: Equatable, Sendable {
    /// Which operation on what, e.g. `sessions` or `<session>/steps`.
    public var scope: String
    public var key: String
    /// The digest of the request, which distinguishes a repetition from another request.
    public var requestDigest: Digest
    /// The identifier of what it created: a session, step, group, hook or checkpoint.
    public var outcome: String
    public var createdAt: Date

    public init(
        scope: String, key: String, requestDigest: Digest, outcome: String, createdAt: Date
    ) {
        self.scope = scope
        self.key = key
        self.requestDigest = requestDigest
        self.outcome = outcome
        self.createdAt = createdAt
    }
}

/// A client's Idempotency-Key, and the digest of the request that came with it.
public struct IdempotencyKey: Equatable, Sendable {
    public var key: String
    public var requestDigest: Digest

    public init(key: String, requestDigest: Digest) {
        self.key = key
        self.requestDigest = requestDigest
    }
}
