internal import Hashing

/// The first 16 bytes of a SHA-256. It distinguishes a repeated result from another one, and a
/// replayed trial point from a wrong one. Among 2^32 digests the odds of a collision are 2^-64.
public struct Digest: Hashable, Sendable, Codable, CustomStringConvertible {
    public let high: UInt64
    public let low: UInt64

    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// nil unless there are 16 bytes.
    public init?(bytes: some Collection<UInt8>) {
        guard bytes.count == 16 else { return nil }
        high = bytes.prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
        low = bytes.dropFirst(8).reduce(0) { $0 << 8 | UInt64($1) }
    }

    public var bytes: [UInt8] {
        var bytes: [UInt8] = []
        for word in [high, low] {
            for shift in stride(from: 56, through: 0, by: -8) {
                bytes.append(UInt8(truncatingIfNeeded: word >> UInt64(shift)))
            }
        }
        return bytes
    }

    /// In hexadecimal.
    public var description: String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    /// Digest of the parts, one after the other.
    public static func of(_ parts: [UInt8]...) -> Digest {
        var hash = SHA256()
        for part in parts { hash.update(part) }
        return Digest(hash.finalize())
    }

    /// Digest of some bytes and then of the vector's, which are not copied.
    package static func of(_ head: [UInt8], _ vector: Vector) -> Digest {
        var digester = IncrementalDigest(head)
        unsafe vector.withUnsafeBytes { unsafe digester.update($0) }
        return digester.finish()
    }

    fileprivate init(_ hash: [UInt8]) {
        guard let digest = Digest(bytes: hash.prefix(16)) else {
            preconditionFailure("a SHA-256 of \(hash.count) bytes")
        }
        self = digest
    }
}

/// The digest of bytes that arrive in pieces.
package struct IncrementalDigest {
    private var hash = SHA256()

    package init(_ head: [UInt8]) { hash.update(head) }

    package mutating func update(_ bytes: UnsafeRawBufferPointer) {
        // Sound: the bytes are read while they are there.
        unsafe hash.update(bytes)
    }

    package consuming func finish() -> Digest { Digest(hash.finalize()) }
}
