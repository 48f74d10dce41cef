internal import Hashing

/// Where a list in another order than the store's continues: behind the place that a session had.
///
/// The place travels with the client, so that the list continues there though the session was
/// changed or deleted. A code over it and the query, with a key of the store's, keeps a client from
/// continuing another query with it.
package struct ListCursor: Equatable, Sendable {
    /// What sessions are ordered by; nil for one that has none of it, which come last.
    package enum Key: Equatable, Sendable {
        case number(Double)
        case text(String)
    }

    package var key: Key?
    /// Microseconds since 1970. Decides between equals, and after it the identifier.
    package var createdAt: Int64
    package var session: SessionID

    package init(key: Key?, createdAt: Int64, session: SessionID) {
        self.key = key
        self.createdAt = createdAt
        self.session = session
    }

    private static let codeBytes = 16

    /// - Parameter query: What a query is told from others by, its tenant included.
    package func sealed(for query: [UInt8], _ key: [UInt8]) -> PageToken {
        let content = encoded
        return PageToken(cursor: Self.code(of: content, query, key) + content)
    }

    /// nil unless the token was made for the query.
    package init?(_ token: PageToken, for query: [UInt8], _ key: [UInt8]) {
        guard let bytes = token.cursor, bytes.count > Self.codeBytes else { return nil }
        let content = Array(bytes.dropFirst(Self.codeBytes))
        guard Array(bytes.prefix(Self.codeBytes)) == Self.code(of: content, query, key) else {
            return nil
        }
        self.init(encoded: content)
    }

    private static func code(of content: [UInt8], _ query: [UInt8], _ key: [UInt8]) -> [UInt8] {
        let length = (0..<8).map { UInt8(truncatingIfNeeded: query.count >> (8 * $0)) }
        return Array(
            HMACSHA256.authenticationCode(of: length + query + content, key: key)
                .prefix(codeBytes))
    }

    /// The date (8 bytes), the length of the identifier (1) and the identifier, the kind of key
    /// (1), and the key: a Float64, or UTF-8.
    private var encoded: [UInt8] {
        let id = Array(session.rawValue.utf8)
        var bytes = Self.bytes(of: UInt64(bitPattern: createdAt)) + [UInt8(id.count)] + id
        switch key {
        case nil: bytes.append(0)
        case .number(let number): bytes += [1] + Self.bytes(of: number.bitPattern)
        case .text(let text): bytes += [2] + Array(text.utf8)
        }
        return bytes
    }

    private init?(encoded bytes: [UInt8]) {
        guard bytes.count > 10 else { return nil }
        createdAt = Int64(bitPattern: Self.integer(bytes[..<8]))
        let end = 9 + Int(bytes[8])
        guard bytes.count > end,
            let session = SessionID(String(decoding: bytes[9..<end], as: UTF8.self))
        else { return nil }
        self.session = session
        let rest = bytes[(end + 1)...]
        switch bytes[end] {
        case 0 where rest.isEmpty: key = nil
        case 1 where rest.count == 8: key = .number(Double(bitPattern: Self.integer(rest)))
        case 2: key = .text(String(decoding: rest, as: UTF8.self))
        default: return nil
        }
    }

    private static func bytes(of number: UInt64) -> [UInt8] {
        (0..<8).map { UInt8(truncatingIfNeeded: number >> (8 * $0)) }
    }

    private static func integer(_ bytes: ArraySlice<UInt8>) -> UInt64 {
        bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }
}
