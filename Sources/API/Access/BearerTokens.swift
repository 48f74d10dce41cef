internal import Hashing

/// A bearer token (RFC 6750) that the daemon accepts, by its digest, and who sends it.
public struct Credential: Sendable {
    /// The token's SHA-256, as four words.
    let digest: SIMD4<UInt64>
    public let caller: Caller
    /// Seconds since 1970 from which on the token is not accepted; nil: never.
    public let expiresAt: Int64?

    public init(token: String, caller: Caller, expiresAt: Int64? = nil) {
        digest = Credential.digest(of: Array(token.utf8)[...])
        self.caller = caller
        self.expiresAt = expiresAt
    }

    /// - Parameter sha256: The token's digest in hexadecimal. nil unless it has 64 digits.
    public init?(sha256: String, caller: Caller, expiresAt: Int64? = nil) {
        let digits = Array(sha256.utf8)
        guard digits.count == 64 else { return nil }
        var words = SIMD4<UInt64>()
        for (index, digit) in digits.enumerated() {
            guard let value = Credential.value(ofHexadecimal: digit) else { return nil }
            words[index / 16] = words[index / 16] << 4 | value
        }
        digest = words
        self.caller = caller
        self.expiresAt = expiresAt
    }

    private static func value(ofHexadecimal digit: UInt8) -> UInt64? {
        switch digit {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt64(digit - UInt8(ascii: "0"))
        case UInt8(ascii: "a")...UInt8(ascii: "f"): UInt64(digit - UInt8(ascii: "a") + 10)
        case UInt8(ascii: "A")...UInt8(ascii: "F"): UInt64(digit - UInt8(ascii: "A") + 10)
        default: nil
        }
    }

    /// The SHA-256 of a token in hexadecimal, as a token file has it.
    public static func sha256(of token: String) -> String {
        SHA256.hash(Array(token.utf8)).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    static func digest(of token: ArraySlice<UInt8>) -> SIMD4<UInt64> {
        var hash = SHA256()
        // Sound: the bytes outlive the call.
        unsafe token.withUnsafeBytes { unsafe hash.update($0) }
        let bytes = hash.finalize()
        var words = SIMD4<UInt64>()
        for (index, byte) in bytes.enumerated() {
            words[index / 8] = words[index / 8] << 8 | UInt64(byte)
        }
        return words
    }

    public func isSameToken(as other: Credential) -> Bool { digest == other.digest }

    func isExpired(at now: Int64) -> Bool { expiresAt.map { $0 <= now } ?? false }
}

/// The bearer tokens that the daemon accepts. It keeps only their digests and compares in constant
/// time, so that neither memory nor timing reveals a token.
public struct BearerTokens: Sendable {
    public let credentials: [Credential]

    public init(_ credentials: [Credential]) { self.credentials = credentials }

    /// Tokens of a plain file: one tenant, every scope.
    public init(tokens: [String]) {
        self.init(tokens.map { Credential(token: $0, caller: .bearer) })
    }

    enum Finding {
        /// There is no Authorization field.
        case missing
        case unknown
        case expired
        case found(Credential)
    }

    /// The token of an Authorization field. Compares with every token: O(tokens).
    func find(authorization: String?, at now: Int64) -> Finding {
        guard let authorization else { return .missing }
        guard let token = BearerTokens.token(in: authorization) else { return .unknown }
        let sent = Credential.digest(of: token)
        var found: Credential?
        for credential in credentials {
            let difference = credential.digest ^ sent
            if difference[0] | difference[1] | difference[2] | difference[3] == 0 {
                found = credential
            }
        }
        guard let found else { return .unknown }
        return found.isExpired(at: now) ? .expired : .found(found)
    }

    /// Whether a token that was accepted before still is, with the same rights.
    func accepts(_ credential: Credential, at now: Int64) -> Bool {
        credentials.contains {
            $0.digest == credential.digest && $0.caller.isSame(as: credential.caller)
                && !$0.isExpired(at: now)
        }
    }

    /// The bytes of `<token>` in `Bearer <token>`.
    private static func token(in authorization: String) -> ArraySlice<UInt8>? {
        let parts = Array(authorization.utf8).split(separator: UInt8(ascii: " "))
        guard parts.count == 2, parts[0].count == 6,
            zip(parts[0], "bearer".utf8).allSatisfy({ $0 | 0x20 == $1 })
        else { return nil }
        return parts[1]
    }
}
