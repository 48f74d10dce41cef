internal import Crypto

/// The first 16 bytes of a SHA-256: tells a repeated answer from another one, and a replayed
/// trial point from a wrong one. 2^-64 odds of a collision among 2^32 digests.
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

    /// Digest of a head and what follows it.
    /// - Precondition: none of it is on disk.
    public static func of(_ head: [UInt8], _ octets: Octets) -> Digest {
        var hash = SHA256()
        hash.update(data: head)
        do {
            try unsafe octets.forEachRegion { unsafe hash.update(bufferPointer: $0) }
        } catch {
            preconditionFailure("a digest of what is on disk: \(error)")
        }
        return made(hash)
    }

    /// Digest of the parts, one after the other.
    public static func of(_ parts: [UInt8]...) -> Digest {
        var hash = SHA256()
        for part in parts { hash.update(data: part) }
        return made(hash)
    }

    private static func made(_ hash: SHA256) -> Digest {
        guard let digest = Digest(bytes: Array(hash.finalize().prefix(16))) else {
            preconditionFailure("a SHA-256 has at least 16 bytes")
        }
        return digest
    }
}
